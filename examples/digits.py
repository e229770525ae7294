"""Images: 64 pixels of a digit in 8 numbers, drawn beside what PCA makes of as many."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from xhat import Autoencoder

X = load_digits().data / 16  # grey levels from 0 to 1
train, test = X[:1500], X[1500:]

ae = Autoencoder(n_components=8, heads="binary", max_iter=60, random_state=0).fit(train)
pca = PCA(n_components=8).fit(train)
print(ae.compare_pca(test))


def draw(image: np.ndarray) -> list[str]:
    """Return eight lines of characters, darker for brighter pixels."""
    return ["".join(" .:-=+*#%@"[int(9 * min(max(v, 0), 1))] * 2 for v in row) for row in image]


row = test[3]
pictures = [row, ae.reconstruct(test[3:4])[0], pca.inverse_transform(pca.transform(test[3:4]))[0]]
print(f"{'digit':<18}{'xhat':<18}PCA")
for lines in zip(*(draw(picture.reshape(8, 8)) for picture in pictures), strict=True):
    print("  ".join(lines))
