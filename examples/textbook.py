"""The two equations, by hand: h = g(W x + b), x_hat = W* h + c, and every factor of a gradient."""

import numpy as np
from sklearn.datasets import load_iris

from xhat import Autoencoder

X, _ = load_iris(return_X_y=True)
ae = Autoencoder.textbook(n_components=2, optimizer="lbfgs", random_state=2).fit(X)

# Three lines of NumPy are the whole model.
H = 1 / (1 + np.exp(-(X @ ae.W_.T + ae.b_)))
X_hat = H @ ae.W_star_.T + ae.c_
print("codes agree:", np.allclose(H, ae.transform(X), atol=1e-12))
print("reconstructions agree:", np.allclose(X_hat, ae.reconstruct(X), atol=1e-12))

# The gradient of the squared error by the chain rule, as in docs/maths.md.
trace = ae.trace(X[0])
output = 2 * (X_hat[0] - X[0])  # dL/da2
print("dL/dW* agrees:", np.allclose(np.outer(output, H[0]), trace["dL/dW_star"]))
hidden = (ae.W_star_.T @ output) * H[0] * (1 - H[0])  # dL/da1
print("dL/dW agrees:", np.allclose(np.outer(hidden, X[0]), trace["dL/dW"]))
print("largest error of a gradient:", f"{max(ae.check_gradients(X).values()):.0e}")
print(ae.compare_pca(X).sentence)
