// The image, a map over the pool, and the points, on a canvas: thousands of points move with the slider.
import { colour, element, number } from "./api.js";

// Kinds of points: colours after Okabe and Ito, each with a shape of its own.
export const KINDS = {
  initial: { fill: "#56b4e9", shape: "circle", name: "initial" },
  curious: { fill: "#e69f00", shape: "circle", name: "curious" },
  check: { fill: "#cc79a7", shape: "square", name: "check" },
  human: { fill: "#f0e442", shape: "star", name: "human" },
  other: { fill: "#009e73", shape: "circle", name: "chosen" },
  rejected: { fill: "#d55e00", shape: "cross", name: "rejected" },
  excluded: { fill: "#999999", shape: "dot", name: "excluded" },
  next: { fill: "#ffffff", shape: "ring", name: "next" },
};

const MARGIN = { left: 58, right: 92, top: 12, bottom: 46 };
const NARROW = 560; // below, colour bars lie under the image
const BAR = 46; // the height of such a bar with its numbers and its label

export function mark(context, x, y, size, kind) {
  const { fill, shape } = kind;
  context.fillStyle = fill;
  context.strokeStyle = shape === "cross" || shape === "ring" ? fill : "#000000";
  context.lineWidth = shape === "cross" || shape === "ring" ? 2 : 1;
  context.beginPath();
  if (shape === "square") context.rect(x - size, y - size, 2 * size, 2 * size);
  else if (shape === "star") {
    for (let corner = 0; corner < 10; corner++) {
      const radius = corner % 2 ? 0.8 * size : 1.8 * size;
      const angle = Math.PI * (corner / 5 - 0.5);
      context.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
    context.closePath();
  } else if (shape === "cross") {
    context.moveTo(x - size, y - size);
    context.lineTo(x + size, y + size);
    context.moveTo(x + size, y - size);
    context.lineTo(x - size, y + size);
  } else context.arc(x, y, shape === "dot" ? 0.4 * size : shape === "ring" ? 1.9 * size : size, 0, 2 * Math.PI);
  if (shape !== "cross" && shape !== "ring") context.fill();
  if (shape === "ring") {
    context.strokeStyle = "#000000";
    context.lineWidth = 4;
    context.stroke();
    context.strokeStyle = fill;
    context.lineWidth = 2;
  }
  if (shape !== "dot") context.stroke();
}

function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((one) => one * power >= raw) * power;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + 1e-9 * step; at += step) found.push(at);
  return found;
}

export function limits(values, low = 1, high = 99) {
  const finite = Float64Array.from(values).filter(Number.isFinite).sort();
  if (!finite.length) return [0, 1];
  const at = (percent) => finite[Math.round((percent / 100) * (finite.length - 1))];
  return at(low) < at(high) ? [at(low), at(high)] : [finite[0], finite[0] + (Math.abs(finite[0]) || 1)];
}

export class Scene {
  // select(index of the candidate) is called when one is chosen, area(points in nm) when one was drawn.
  constructor(canvas, select) {
    this.canvas = canvas;
    this.select = select;
    this.area = [0, 1, 0, 1];
    this.image = this.layer = null; // { values, shape, extent, range, table, label }
    this.opacity = 0.7;
    this.points = []; // { x, y, kind, number }
    this.path = [];
    this.areas = []; // { points, style }
    this.showPath = this.showNumbers = false;
    this.selected = -1;
    this.positions = null;
    this.drawing = null; // { shape, done, points }
    this.pictures = new Map();
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("dblclick", () => this.#finish());
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  // Let the user draw a rectangle or polygon; resolves with its corners in nm, or null.
  drawArea(shape) {
    return new Promise((done) => {
      this.drawing = { shape, done, points: [] };
      this.canvas.focus();
    });
  }

  cancelArea() {
    this.drawing?.done(null);
    this.drawing = null;
    this.draw();
  }

  #frame() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const [xMin, xMax, yMin, yMax] = this.area;
    const narrow = width < NARROW;
    const right = narrow ? 16 : this.layer ? MARGIN.right + 78 : MARGIN.right;
    const below = narrow ? MARGIN.bottom + (this.layer ? 2 : 1) * BAR : MARGIN.bottom;
    const room = [width - MARGIN.left - right, height - MARGIN.top - below];
    const scale = Math.max(1e-9, Math.min(room[0] / (xMax - xMin), room[1] / (yMax - yMin)));
    const size = [scale * (xMax - xMin), scale * (yMax - yMin)];
    const left = MARGIN.left + Math.max(0, (room[0] - size[0]) / 2);
    return { width, height, scale, left, narrow, top: MARGIN.top, size, xMin, yMax,
      x: (nm) => left + scale * (nm - xMin), y: (nm) => MARGIN.top + scale * (yMax - nm) };
  }

  #place(event) {
    const frame = this.#frame();
    const box = this.canvas.getBoundingClientRect();
    const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
    const x = frame.xMin + (event.clientX - box.left - frame.left) / frame.scale;
    const y = frame.yMax - (event.clientY - box.top - frame.top) / frame.scale;
    return [clamp(x, this.area[0], this.area[1]), clamp(y, this.area[2], this.area[3])];
  }

  nearest([x, y]) {
    let best = -1;
    let least = Infinity;
    for (let index = 0; index < (this.positions?.length ?? 0) / 2; index++) {
      const distance = (this.positions[2 * index] - x) ** 2 + (this.positions[2 * index + 1] - y) ** 2;
      if (distance < least) [best, least] = [index, distance];
    }
    return best;
  }

  #down(event) {
    const place = this.#place(event);
    if (!this.drawing) return this.select(this.nearest(place), place);
    this.canvas.setPointerCapture(event.pointerId);
    if (this.drawing.shape === "rectangle") this.drawing.points = [place, place];
    else this.drawing.points.push(place);
    return this.draw();
  }

  #move(event) {
    if (this.drawing?.shape !== "rectangle" || !this.drawing.points.length) return;
    this.drawing.points[1] = this.#place(event);
    this.draw();
  }

  #up() {
    if (this.drawing?.shape === "rectangle" && this.drawing.points.length) this.#finish();
  }

  #finish() {
    if (!this.drawing) return;
    const { shape, points, done } = this.drawing;
    let corners = points;
    if (shape === "rectangle" && points.length === 2) {
      const [[a, b], [c, d]] = points;
      corners = [[a, b], [c, b], [c, d], [a, d]];
    }
    this.drawing = null;
    done(corners.length >= 3 ? corners : null);
    this.draw();
  }

  #key(event) {
    if (this.drawing && event.key === "Escape") return this.cancelArea();
    if (this.drawing && event.key === "Enter") return this.#finish();
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step || !this.positions?.length) return undefined;
    event.preventDefault();
    const here = Math.max(0, this.selected);
    const from = [this.positions[2 * here], this.positions[2 * here + 1]];
    let best = here;
    let least = Infinity;
    for (let index = 0; index < this.positions.length / 2; index++) {
      const [dx, dy] = [this.positions[2 * index] - from[0], this.positions[2 * index + 1] - from[1]];
      const along = dx * step[0] + dy * step[1];
      const cost = along + 3 * Math.abs(dx * step[1] + dy * step[0]);
      if (along > 1e-9 && cost < least) [best, least] = [index, cost];
    }
    return this.select(best, [this.positions[2 * best], this.positions[2 * best + 1]]);
  }

  #picture(layer) {
    if (this.pictures.get(layer)) return this.pictures.get(layer);
    const [rows, columns] = layer.shape;
    const picture = Object.assign(element("canvas"), { width: columns, height: rows });
    const context = picture.getContext("2d");
    const pixels = context.createImageData(columns, rows);
    const [low, high] = layer.range;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const value = layer.values[row * columns + column];
        const at = 4 * ((rows - 1 - row) * columns + column);
        if (!Number.isFinite(value)) continue; // transparent
        const level = 3 * Math.round(255 * Math.min(1, Math.max(0, (value - low) / (high - low))));
        pixels.data.set([layer.table[level], layer.table[level + 1], layer.table[level + 2], 255], at);
      }
    }
    context.putImageData(pixels, 0, 0);
    this.pictures.set(layer, picture);
    return picture;
  }

  #drawLayer(context, frame, layer, opacity) {
    context.globalAlpha = opacity;
    if (layer.shape.length === 2) {
      const [xMin, xMax, yMin, yMax] = layer.extent;
      context.imageSmoothingEnabled = false;
      context.drawImage(this.#picture(layer), frame.x(xMin), frame.y(yMax), frame.scale * (xMax - xMin), frame.scale * (yMax - yMin));
    } else { // candidates without a grid
      const side = Math.max(3, Math.sqrt(frame.size[0] * frame.size[1] / layer.values.length));
      layer.values.forEach((value, index) => {
        const level = 3 * Math.round(255 * Math.min(1, Math.max(0, (value - layer.range[0]) / (layer.range[1] - layer.range[0]))));
        context.fillStyle = `rgb(${layer.table.slice(level, level + 3).join(",")})`;
        context.fillRect(frame.x(this.positions[2 * index]) - side / 2, frame.y(this.positions[2 * index + 1]) - side / 2, side, side);
      });
    }
    context.globalAlpha = 1;
  }

  #drawBarBelow(context, frame, layer, row, ink) {
    const top = frame.top + frame.size[1] + MARGIN.bottom + row * BAR;
    const width = frame.size[0];
    for (let step = 0; step < width; step++) {
      const level = 3 * Math.round(255 * (step / width));
      context.fillStyle = `rgb(${layer.table.slice(level, level + 3).join(",")})`;
      context.fillRect(frame.left + step, top, 1.5, 8);
    }
    context.fillStyle = ink;
    context.textAlign = "center";
    context.textBaseline = "top";
    const [low, high] = layer.range;
    for (const tick of ticks(low, high, 4)) {
      context.fillText(number(tick, 3), frame.left + width * ((tick - low) / (high - low)), top + 11);
    }
    context.fillText(layer.label, frame.left + width / 2, top + 25);
  }

  #drawBar(context, frame, layer, offset, ink) {
    const left = frame.left + frame.size[0] + offset;
    const height = frame.size[1];
    for (let step = 0; step < height; step++) {
      const level = 3 * Math.round(255 * (1 - step / height));
      context.fillStyle = `rgb(${layer.table.slice(level, level + 3).join(",")})`;
      context.fillRect(left, frame.top + step, 12, 1.5);
    }
    context.fillStyle = ink;
    context.textAlign = "left";
    context.textBaseline = "middle";
    const [low, high] = layer.range;
    for (const tick of ticks(low, high, 4)) {
      context.fillText(number(tick, 3), left + 16, frame.top + height * (1 - (tick - low) / (high - low)));
    }
    context.save();
    context.translate(left + 62, frame.top + height / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText(layer.label, 0, 0);
    context.restore();
  }

  #drawAxes(context, frame, ink) {
    context.strokeStyle = context.fillStyle = ink;
    context.lineWidth = 1;
    context.strokeRect(frame.left, frame.top, ...frame.size);
    context.textAlign = "center";
    context.textBaseline = "top";
    const bottom = frame.top + frame.size[1];
    for (const tick of ticks(this.area[0], this.area[1], 5)) {
      context.fillRect(frame.x(tick), bottom, 1, 5);
      context.fillText(number(tick, 6), frame.x(tick), bottom + 8);
    }
    context.fillText("x / nm", frame.left + frame.size[0] / 2, bottom + 26);
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const tick of ticks(this.area[2], this.area[3], 5)) {
      context.fillRect(frame.left - 5, frame.y(tick), 5, 1);
      context.fillText(number(tick, 6), frame.left - 8, frame.y(tick));
    }
    context.save();
    context.translate(frame.left - 48, frame.top + frame.size[1] / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText("y / nm", 0, 0);
    context.restore();
  }

  #outline(context, frame, points) {
    context.beginPath();
    points.forEach(([x, y]) => context.lineTo(frame.x(x), frame.y(y)));
    context.closePath();
  }

  draw() {
    const frame = this.#frame();
    if (frame.width < 50) return;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(ratio * frame.width);
    this.canvas.height = Math.round(ratio * frame.height);
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = `12px ${getComputedStyle(document.documentElement).fontFamily}`;
    const ink = colour("ink");
    if (!this.image) {
      context.fillStyle = ink;
      context.textAlign = "center";
      context.fillText("no image yet", frame.width / 2, frame.height / 2);
      return;
    }
    this.#drawLayer(context, frame, this.image, 1);
    if (this.layer) this.#drawLayer(context, frame, this.layer, this.opacity);
    for (const { points, style } of this.areas) {
      this.#outline(context, frame, points);
      context.fillStyle = style === "exclude" ? "rgb(213 94 0 / 0.25)" : "rgb(0 158 115 / 0.12)";
      context.strokeStyle = style === "exclude" ? "#d55e00" : "#009e73";
      context.lineWidth = 2;
      context.setLineDash(style === "exclude" ? [] : [6, 4]);
      context.fill();
      context.stroke();
      context.setLineDash([]);
    }
    if (this.showPath) {
      context.strokeStyle = "#e69f00";
      context.lineWidth = 1;
      context.beginPath();
      this.path.forEach(([x, y]) => context.lineTo(frame.x(x), frame.y(y)));
      context.stroke();
    }
    const size = Math.min(5, Math.max(1.5, 100 / Math.sqrt(this.points.length + 1)));
    for (const point of this.points) mark(context, frame.x(point.x), frame.y(point.y), size, KINDS[point.kind]);
    if (this.showNumbers) {
      context.font = `10px ${getComputedStyle(document.documentElement).fontFamily}`;
      context.textAlign = "left";
      context.textBaseline = "bottom";
      context.lineWidth = 3;
      for (const point of this.points.filter((one) => one.number)) {
        context.strokeStyle = "#000000";
        context.fillStyle = "#ffffff";
        context.strokeText(point.number, frame.x(point.x) + 5, frame.y(point.y) - 3);
        context.fillText(point.number, frame.x(point.x) + 5, frame.y(point.y) - 3);
      }
      context.font = `12px ${getComputedStyle(document.documentElement).fontFamily}`;
    }
    if (this.selected >= 0 && this.positions) {
      const [x, y] = [frame.x(this.positions[2 * this.selected]), frame.y(this.positions[2 * this.selected + 1])];
      for (const [style, width] of [["#000000", 4], ["#ffffff", 2]]) {
        context.strokeStyle = style;
        context.lineWidth = width;
        context.strokeRect(x - 9, y - 9, 18, 18);
      }
    }
    if (this.drawing?.points.length) {
      let { points } = this.drawing;
      if (this.drawing.shape === "rectangle") {
        const [[a, b], [c, d]] = points;
        points = [[a, b], [c, b], [c, d], [a, d]];
      }
      this.#outline(context, frame, points);
      context.strokeStyle = "#ffffff";
      context.lineWidth = 2;
      context.setLineDash([4, 4]);
      context.stroke();
      context.setLineDash([]);
    }
    this.#drawAxes(context, frame, ink);
    if (frame.narrow) {
      [this.layer, this.image].filter(Boolean).forEach((layer, row) => this.#drawBarBelow(context, frame, layer, row, ink));
    } else {
      this.#drawBar(context, frame, this.image, 10, ink);
      if (this.layer) this.#drawBar(context, frame, this.layer, 92, ink);
    }
  }
}
