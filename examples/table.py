"""A table: which wines are strange, and in which of their thirteen measurements?"""

import numpy as np
from sklearn.datasets import load_wine

from xhat import Autoencoder

wine = load_wine()
ae = Autoencoder(random_state=0).fit(wine.data)

print(ae.verdict_)

scores = ae.anomaly_score(wine.data)
for row in np.argsort(-scores)[:3]:
    reasons = ae.explain(wine.data[[row]], detail=True)
    column = reasons["nats"][:-1].argmax()  # the last part is that of the whole row, its code's
    print(
        f"wine {row}: {scores[row]:.0f} nats, most of all {wine.feature_names[column]} = "
        f"{reasons['observed'][column]:g} where {reasons['expected'][column]:.3g} is expected"
    )
