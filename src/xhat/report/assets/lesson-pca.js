// PCA of the rows by Jacobi rotations of the covariance: the rival at every code size.
function principal(rows) {
  const n = rows.length, d = rows[0].length, mean = new Float64Array(d), A = new Float64Array(d * d), V = new Float64Array(d * d);
  for (const x of rows) for (let i = 0; i < d; i++) mean[i] += x[i] / n;
  for (const x of rows) for (let i = 0; i < d; i++) for (let j = 0; j < d; j++) A[i * d + j] += ((x[i] - mean[i]) * (x[j] - mean[j])) / n;
  for (let i = 0; i < d; i++) V[i * d + i] = 1;
  for (let sweep = 0; sweep < 30; sweep++) {
    let off = 0;
    for (let p = 0; p < d; p++) for (let q = p + 1; q < d; q++) {
      const apq = A[p * d + q];
      off += apq * apq;
      if (Math.abs(apq) < 1e-15) continue;
      const theta = (A[q * d + q] - A[p * d + p]) / (2 * apq), t = Math.sign(theta || 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1)), c = 1 / Math.sqrt(t * t + 1), s = t * c;
      for (let i = 0; i < d; i++) { const u = A[i * d + p], w = A[i * d + q]; A[i * d + p] = c * u - s * w; A[i * d + q] = s * u + c * w; }
      for (let i = 0; i < d; i++) { const u = A[p * d + i], w = A[q * d + i]; A[p * d + i] = c * u - s * w; A[q * d + i] = s * u + c * w; }
      for (let i = 0; i < d; i++) { const u = V[i * d + p], w = V[i * d + q]; V[i * d + p] = c * u - s * w; V[i * d + q] = s * u + c * w; }
    }
    if (off < 1e-22) break;
  }
  const order = Array.from({ length: d }, (_, i) => i).sort((a, b) => A[b * d + b] - A[a * d + a]);
  return {
    mean,
    /** Squared error per row with the first k directions: the variance that is left. */
    error: (k) => order.slice(Math.min(k, d)).reduce((sum, i) => sum + Math.max(A[i * d + i], 0), 0),
    reconstruct: (x, k) => {
      const y = Float64Array.from(mean);
      for (const u of order.slice(0, Math.min(k, d))) { let s = 0; for (let i = 0; i < d; i++) s += (x[i] - mean[i]) * V[i * d + u]; for (let i = 0; i < d; i++) y[i] += s * V[i * d + u]; }
      return y;
    },
  };
}
