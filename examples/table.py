"""A table: which wines are strange, and in which of their thirteen measurements?"""

import numpy as np
from sklearn.datasets import load_wine

from xhat import Autoencoder

wine = load_wine()
ae = Autoencoder(random_state=0).fit(wine.data)

print(ae.verdict_)

scores, parts, expected = (
    ae.anomaly_score(wine.data),
    ae.explain(wine.data),
    ae.reconstruct(wine.data),
)
for row in np.argsort(-scores)[:3]:
    column = parts[row, :-1].argmax()  # the last part is that of the row as a whole, its code's
    print(
        f"wine {row}: {scores[row]:.0f} nats, most of all {wine.feature_names[column]} = "
        f"{wine.data[row, column]:g} where {expected[row, column]:.3g} is expected"
    )
