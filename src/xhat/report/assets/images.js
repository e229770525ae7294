// Rows that are pictures, on small canvases.
const I = R.images;
const CIVIDIS = [[0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115], [138, 134, 120], [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56]];
const isDark = () => colour("card") !== "#ffffff";
function cividis(t) {
  const from = isDark() ? 0.22 : 0; // its darkest blues vanish on a dark page
  const u = (from + (1 - from) * Math.max(0, Math.min(1, t))) * (CIVIDIS.length - 1), i = Math.min(CIVIDIS.length - 2, Math.floor(u)), f = u - i;
  return CIVIDIS[i].map((v, c) => Math.round(v + f * (CIVIDIS[i + 1][c] - v)));
}
/** Orange below zero, white at zero, blue above: told apart by colour-blind readers too. */
function diverging(t) {
  const u = Math.max(-1, Math.min(1, t)), end = u < 0 ? [192, 78, 0] : [0, 114, 178];
  return end.map((v) => Math.round(255 + Math.abs(u) * (v - 255)));
}
function paint(canvas, values, map) {
  const context = canvas.getContext("2d"), data = context.createImageData(canvas.width, canvas.height);
  values.forEach((v, i) => { const [r, g, b] = map(v); data.data.set([r, g, b, 255], 4 * i); });
  context.putImageData(data, 0, 0);
  canvas.pixels = values;
}
const grey = (v) => { const g = Math.round(255 * Math.max(0, Math.min(1, (v - I.low) / (I.high - I.low || 1)))); return [g, g, g]; };
function picture(values, label, { map = grey, size = 72 } = {}) {
  const [height, width] = I.shape;
  const canvas = el("canvas", { class: "image", width, height, role: "img", "aria-label": label });
  canvas.style.width = size * Math.min(1, width / height) + "px";
  canvas.style.height = size * Math.min(1, height / width) + "px";
  paint(canvas, values, map);
  return canvas;
}
/** Lines of pictures that are equally long, whatever the width. */
function even(host) {
  return responsive(host, (width) => {
    const n = host.children.length, step = Math.max(...[...host.children].map((figure) => figure.offsetWidth)) + 14, most = Math.max(1, Math.floor((width + 14) / step));
    host.style.gridTemplateColumns = `repeat(${Math.ceil(n / Math.ceil(n / most))}, max-content)`;
  });
}
const slice = (packed, i) => { const d = packed.shape[1]; return Array.from(unpack(packed).subarray(i * d, (i + 1) * d)); };
