"""Files that run code when a careless reader opens them: each would call ``tripwire``."""

import io
import pickle
import zipfile

import numpy as np

CALLS = {
    "system": ("os", "system", ("touch canary",)),
    "popen": ("os", "popen", ("touch canary",)),
    "eval": ("builtins", "eval", ("open('canary','w')",)),
    "exec": ("builtins", "exec", ("open('canary','w')",)),
    "subprocess": ("subprocess", "check_output", (["touch", "canary"],)),
    "runpy": ("runpy", "_run_code", ("open('canary','w')", {})),
    "import": ("importlib", "import_module", ("antigravity",)),
    "open": ("builtins", "open", ("canary", "w")),
}


def opcodes(module, name, arguments):
    """Return a pickle that calls module.name(*arguments) when it is loaded."""
    body = pickle.dumps(arguments, 2)[2:-1]  # without PROTO and STOP
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + body + b"R."


def npz(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return out.getvalue()


def npy_header(descr, shape, extra=""):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, {extra}}}"
    head = text.encode() + b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head


def object_npy(bad):
    return npy_header("'|O'", (3, 3)) + bad


def payloads():
    """Return the payloads by name."""
    found = {}
    for name, call in CALLS.items():
        found[f"pickle {name}"] = opcodes(*call)
    bad = found["pickle open"]
    for name in ("open", "exec", "system"):
        evil = found[f"pickle {name}"]
        found[f"protocol 0 {name}"] = evil[2:]
        found[f"framed protocol 4 {name}"] = b"\x80\x04" + evil[2:]
        found[f"joblib {name}"] = b"ZF" + evil
        found[f"object npy {name}"] = object_npy(evil)
        found[f"object npz {name}"] = npz(arr_0__npy=object_npy(evil))
        found[f"torch zip {name}"] = npz(**{"archive/data__pkl": evil, "archive/version": b"3\n"})
    matrix = io.BytesIO()
    np.save(matrix, np.arange(3))
    found["sparse npz with objects"] = npz(
        indices__npy=object_npy(bad), indptr__npy=object_npy(bad), format__npy=object_npy(bad),
        shape__npy=object_npy(bad), data__npy=object_npy(bad),
    )  # fmt: skip
    found["npy header that is code"] = npy_header("__import__('os').system('touch canary')", (3, 3))
    found["npy of 1 PB"] = npy_header("'<f8'", (2**40, 2**7)) + bytes(64)
    found["npy of negative rows"] = npy_header("'<f8'", (-3, 3)) + bytes(64)
    found["npy of deep brackets"] = npy_header("(" * 300 + ")" * 300, (3, 3))
    found["npz of 1 PB"] = npz(arr_0__npy=npy_header("'<f8'", (2**40, 2**7)) + bytes(64))
    found["zip bomb"] = npz(arr_0__npy=npy_header("'<f8'", (2**17, 256)) + bytes(2**28))
    found["zip bomb in a name"] = npz(**{"arr_0__npy": bytes(2**26), "x" * 60_000: b"x"})
    found["hdf5"] = b"\x89HDF\r\n\x1a\n" + bad
    found["yaml"] = b"!!python/object/apply:os.system ['touch canary']\n"
    return found
