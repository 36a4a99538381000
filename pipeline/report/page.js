// SPDX-License-Identifier: Apache-2.0
// Draws the report from the JSON in the page. Text enters the page as text nodes only, never as markup.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const INKS = ["#ff7a1a", "#3d9bff", "#2fb457", "#d65be6", "#f04848", "#12b5c9", "#e0b000", "#8f6bff", "#f0569b", "#86c232"];
const PAGE = 60;
const SETS = {
  all: ["All", () => true],
  random: ["Random", card => card.sets.includes("random")],
  worst: ["Worst scored", card => card.sets.includes("worst")],
  rejected: ["Rejected", card => card.status === "rejected"],
  error: ["Errors", card => card.status === "error"],
};
const LAYERS = { boxes: "Boxes", masks: "Masks", labels: "Labels" };
const state = { set: "all", reason: "", labels: new Set(), query: "", theme: "", key: "", limit: PAGE };

const byId = id => document.getElementById(id);
const whole = number => number.toLocaleString("en");
const short = (number, digits = 2) => (number === null ? "–" : number.toFixed(digits));
const percent = (part, all) => (all ? (part === all ? "100" : ((100 * part) / all).toFixed(1)) + " %" : "–");
const ink = id => INKS[(id - 1) % INKS.length];
const why = card => `${card.stage ?? "?"} · ${card.reason ?? "?"}`;

function el(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "line", "text", "title"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [property, setting] of Object.entries(value)) node.style.setProperty(property, setting);
    else if (value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

// ---- numbers ----------------------------------------------------------------------------------------

function drawHeader() {
  const parts = [data.fingerprint && ["run ", el("code", { title: data.fingerprint }, data.fingerprint.slice(0, 12))], data.built && ["built ", data.built]];
  byId("run").append(...parts.filter(Boolean).flatMap((part, place) => (place ? [" · ", ...part] : part)));
  const { images, samples, rejected, errors, instances, labels, shards } = data.counts;
  const tiles = [
    ["Images in", images, `${whole(shards)} shard${shards === 1 ? "" : "s"}`],
    ["Samples out", samples, `${percent(samples, images)} of the images`],
    ["Instances", instances, samples ? `${(instances / samples).toFixed(2)} a sample` : ""],
    ["Labels", labels, "distinct"],
    ["Rejected", rejected, percent(rejected, images)],
    ["Errors", errors, percent(errors, images)],
  ];
  byId("tiles").append(...tiles.map(([title, value, note]) =>
    el("div", {}, el("dt", {}, title), el("dd", {}, whole(value), el("small", {}, note)))));
}

const track = parts => el("span", { class: "track" }, ...parts.filter(([, share]) => share > 0).map(([kind, share]) =>
  el("i", { class: kind, style: { width: `${100 * share}%` } })));

function drawFunnel() {
  const images = data.counts.images;
  const step = (title, out, lost) => {
    const sum = status => lost.filter(loss => loss[0] === status).reduce((total, loss) => total + loss[2], 0);
    const shares = [["", out], ["rejected", sum("rejected")], ["error", sum("error")]];
    return el("div", { class: "step" }, el("b", {}, title), track(shares.map(([kind, rows]) => [kind, rows / images])),
      el("output", {}, whole(out)), lost.length ? el("div", { class: "reasons" }, ...lost.map(loss => reasonButton(title, loss))) : null);
  };
  byId("funnel").append(step("images", images, []), ...data.funnel.map(({ stage, out, lost }) => step(stage, out, lost)),
    step("samples", data.counts.samples, []));
}

function reasonButton(stage, [status, reason, rows]) {
  const show = () => {
    change({ set: "all", reason: `${stage} · ${reason}`, labels: new Set(), query: "" });
    byId("gallery").scrollIntoView();
  };
  return el("button", { type: "button", onclick: show }, el("span", { class: `dot ${status}` }), `${reason} ${whole(rows)}`);
}

function drawSpeed() {
  byId("speed-section").hidden = data.seconds.length === 0;
  const total = data.seconds.reduce((sum, [, seconds]) => sum + seconds, 0);
  byId("speed-note").textContent = `Measured inside the workers on ${whole(data.timed_images)} images; speeds are those of one worker.`;
  const row = ([stage, seconds]) => {
    const images = data.worked_images[stage] ?? data.timed_images;
    return el("tr", {}, el("td", {}, stage), el("td", {}, seconds ? short(images / seconds, 1) : "–"),
      el("td", {}, images ? short((1000 * seconds) / images, 1) : "–"), el("td", {}, short(seconds, 1)),
      el("td", { class: "share" }, track([["", total ? seconds / total : 0]])), el("td", {}, percent(seconds, total)));
  };
  const titles = ["Stage", "Images/s", "ms an image", "Worker seconds", "Share of the work", ""];
  byId("speed").append(el("thead", {}, el("tr", {}, ...titles.map(title => el("th", {}, title)))),
    el("tbody", {}, ...data.seconds.map(row), ...(data.seconds.length > 1 ? [row(["all stages", total])] : [])));
}

function drawHistogram({ title, low, high, whole: integers, counts, n, mean }) {
  const [width, height, floor] = [320, 130, 112];
  const top = Math.max(1, ...counts);
  const slot = width / counts.length;
  const size = (high - low) / counts.length;
  const name = place => integers
    ? `${low + place}${place === counts.length - 1 ? " or more" : ""}`
    : `${short(low + place * size, 3)} – ${short(low + (place + 1) * size, 3)}`;
  const bar = (count, place) => el("g", {}, el("title", {}, `${name(place)}: ${whole(count)}`),
    el("rect", { class: "zone", x: place * slot, y: 0, width: slot, height: floor }),
    el("rect", { x: place * slot + slot * 0.08, y: floor - (count / top) * (floor - 14), width: slot * 0.84, height: (count / top) * (floor - 14), rx: 1 }));
  const ticks = integers ? counts.map((_, place) => place).filter(place => place % (counts.length / 4) === 0) : [0, 1, 2, 3, 4].map(tick => tick * counts.length / 4);
  const label = place => el("text", { x: (place + (integers ? 0.5 : 0)) * slot, y: height - 3, "text-anchor": integers ? "middle" : place === 0 ? "start" : place === counts.length ? "end" : "middle" },
    integers ? low + place : String(+(low + place * size).toFixed(2)));
  return el("figure", { class: "panel" }, el("figcaption", {}, title, el("span", {}, n ? `mean ${short(mean)} · n ${whole(n)}` : "none")),
    el("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: mean ${short(mean)} over ${n}` },
      el("text", { x: width, y: 9, "text-anchor": "end" }, n ? `max ${whole(top)}` : ""),
      ...counts.map(bar), el("line", { x1: 0, x2: width, y1: floor + 0.5, y2: floor + 0.5 }), ...ticks.map(label)));
}

function drawLabels() {
  const shown = new Map();
  for (const card of data.cards) for (const label of new Set(card.entities.map(entity => entity.label))) shown.set(label, (shown.get(label) ?? 0) + 1);
  const most = data.labels.length ? data.labels[0][1] : 0;
  const which = data.labels.length < data.counts.labels ? `The ${whole(data.labels.length)} most frequent of ${whole(data.counts.labels)}` : "All of them";
  byId("labels-note").textContent = most ? `${which}, with their instances. A label shows its samples in the gallery; several show any of them.` : "No instances.";
  byId("labels").hidden = data.labels.length === 0;
  byId("labels").append(...data.labels.map(([label, count]) => el("button", {
    type: "button", "data-label": label, disabled: shown.has(label) ? null : "", onclick: () => toggleLabel(label),
    title: `${label}: ${whole(count)} instances, ${whole(shown.get(label) ?? 0)} cards in the gallery`,
  }, el("span", {}, label), track([["", count / most]]), el("span", {}, whole(count)))));
}

function drawRecord() {
  const facts = entries => el("dl", { class: "facts" }, ...entries.flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, el("code", {}, value))]));
  const part = (title, entries, open) => entries.length === 0 ? null : el("details", { class: "panel", open }, el("summary", {}, title), facts(entries));
  const config = Object.entries(data.config);
  const parts = [
    part("Run", Object.entries(data.manifest), ""),
    part("Configuration that differs from the defaults", config.filter(([key]) => data.changed.includes(key)), ""),
    part("Whole configuration", config, null),
  ].filter(Boolean);
  byId("record").append(...(parts.length ? parts : [el("p", { class: "quiet" }, "The dataset has no record of its build.")]));
}

// ---- pictures ---------------------------------------------------------------------------------------

/** COCO compressed run lengths to one byte a pixel, column after column. */
function decodeRle(counts, length) {
  const mask = new Uint8Array(length);
  const runs = [];
  let at = 0;
  let start = 0;
  while (at < counts.length) {
    let run = 0;
    let shift = 0;
    let code;
    do {
      code = counts.charCodeAt(at++) - 48;
      run |= (code & 31) << shift;
      shift += 5;
    } while (code & 32);
    if (code & 16) run |= -1 << shift;
    // From the fourth on, a run is written as its difference to the one before the last.
    if (runs.length > 2) run += runs[runs.length - 2];
    if (runs.length % 2) mask.fill(1, start, start + run);
    start += run;
    runs.push(run);
  }
  return mask;
}

function paintMasks(canvas, card, only) {
  const { width, height } = card.picture;
  const image = new ImageData(width, height);
  for (const entry of card.masks) {
    if (!entry || (only && entry.id !== only)) continue;
    const mask = decodeRle(entry.counts, width * height);
    const colour = [1, 3, 5].map(place => parseInt(ink(entry.id).slice(place, place + 2), 16));
    mask.forEach((inside, index) => {
      if (!inside) return;
      const [x, y] = [Math.floor(index / height), index % height];
      const rim = x === 0 || y === 0 || x === width - 1 || y === height - 1 || !(mask[index - 1] && mask[index + 1] && mask[index - height] && mask[index + height]);
      const pixel = image.data.subarray(4 * (y * width + x));
      const mixed = pixel[3] && !rim ? colour.map((value, channel) => (value + pixel[channel]) / 2) : colour;
      pixel.set([...mixed, rim ? 255 : Math.max(70, pixel[3])]);
    });
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function drawPicture(card, limit) {
  if (!card.picture) return el("div", { class: "absent" }, el("b", {}, card.reason ?? "no picture"), card.absence);
  const { uri, width, height } = card.picture;
  const canvas = el("canvas", { width, height });
  paintMasks(canvas, card);
  const inside = (edge, size) => `${Math.min(100, Math.max(0, (100 * edge) / size))}%`;
  const marks = card.entities.filter(entity => entity.box.length === 4).flatMap(({ id, label, box: [x1, y1, x2, y2], det_score: score }) => {
    const [left, top] = [inside(x1, card.width), inside(y1, card.height)];
    return [
      el("span", { class: "box", "data-id": id, style: { "--ink": ink(id), left, top, width: inside(x2 - x1, card.width), height: inside(y2 - y1, card.height) } }),
      el("span", { class: "tag", "data-id": id, style: { "--ink": ink(id), left, top } }, score === null ? label : `${label} ${short(score)}`),
    ];
  });
  const sized = limit ? { width: `${Math.round((width * limit) / Math.max(width, height))}px`, "max-width": "100%" } : width >= height ? { width: "100%" } : { height: "100%" };
  return el("div", { class: "picture", style: { ...sized, "aspect-ratio": `${width} / ${height}` } },
    el("img", { src: uri, alt: card.caption.map(piece => piece[0]).join("") || card.source_key, width, height }), canvas, ...marks);
}

/** Under the pointer, a phrase, box or row of the table leaves only its own entity in the picture. */
function linkEntities(root, card) {
  let current = 0;
  const show = id => {
    if (id === current || !card.picture) return;
    current = id;
    root.querySelectorAll(".box, .tag").forEach(mark => mark.classList.toggle("faded", id !== 0 && Number(mark.dataset.id) !== id));
    paintMasks(root.querySelector("canvas"), card, id);
  };
  root.addEventListener("mouseover", event => show(Number(event.target.closest("[data-id]")?.dataset.id ?? 0)));
  root.addEventListener("mouseleave", () => show(0));
  return root;
}

function drawCaption(card) {
  return el("p", { class: "caption" }, ...card.caption.map(([text, ids]) => {
    if (ids === null) return text;
    if (ids.length === 0) return el("span", { class: "phrase loose", title: "a noun phrase with no instance" }, text);
    const stops = ids.map((id, place) => `${ink(id)} ${(100 * place) / ids.length}% ${(100 * (place + 1)) / ids.length}%`);
    const scores = card.entities.filter(entity => ids.includes(entity.id)).map(entity => `${entity.label}: box ${short(entity.det_score)}, mask ${short(entity.mask_score)}`);
    return el("span", { class: "phrase", "data-id": ids[0], title: scores.join("\n"), style: { "--stripe": `linear-gradient(90deg, ${stops.join(", ")})` } }, text);
  }));
}

const drawVerdict = card => card.status === "ok" ? null : el("p", { class: "verdict" },
  el("span", { class: `dot ${card.status}` }), el("b", {}, `${card.status}: ${why(card)}`), card.detail ? ` – ${card.detail}` : "");

// ---- gallery ----------------------------------------------------------------------------------------

function drawCard(card) {
  const name = card.caption.map(piece => piece[0]).join("") || card.source_key;
  const foot = el("p", { class: "foot" }, el("code", { title: card.source_key }, card.source_key),
    card.score === null ? null : el("span", { title: "box score times mask score of the weakest instance" }, short(card.score)));
  return linkEntities(el("article", { class: "card panel", "data-key": card.key },
    el("button", { type: "button", class: "frame", "aria-label": `Details of ${name}`, onclick: () => change({ key: card.key }) }, drawPicture(card)),
    el("div", { class: "body" }, drawVerdict(card), card.caption.length ? drawCaption(card) : null, foot)), card);
}

function chosenCards() {
  const query = state.query.trim().toLowerCase();
  const matches = card => SETS[state.set][1](card)
    && (!state.reason || (card.status !== "ok" && why(card) === state.reason))
    && (!state.labels.size || card.entities.some(entity => state.labels.has(entity.label)))
    && (!query || card.text.includes(query));
  const cards = data.cards.filter(matches);
  return state.set === "worst" ? cards.sort((one, other) => one.score - other.score) : cards;
}

function drawGallery() {
  const cards = chosenCards();
  byId("cards").replaceChildren(...cards.slice(0, state.limit).map(drawCard));
  byId("count").textContent = cards.length > state.limit
    ? `${whole(state.limit)} of ${whole(cards.length)} cards` : `${whole(cards.length)} card${cards.length === 1 ? "" : "s"}`;
  byId("more").hidden = cards.length <= state.limit;
  for (const button of byId("sets").children) button.setAttribute("aria-pressed", button.dataset.set === state.set);
  for (const button of byId("labels").children) button.setAttribute("aria-pressed", state.labels.has(button.dataset.label));
  byId("reason").value = state.reason;
  if (byId("search").value !== state.query) byId("search").value = state.query;
  const chips = [...state.labels].map(label => el("button", { type: "button", title: `Remove ${label}`, onclick: () => toggleLabel(label) }, `${label} ×`));
  const narrowed = state.labels.size || state.reason || state.query || state.set !== "all";
  const clear = el("button", { type: "button", onclick: () => change({ set: "all", reason: "", labels: new Set(), query: "" }) }, "Clear filters");
  byId("chips").replaceChildren(...chips, ...(narrowed ? [clear] : []));
}

function toggleLabel(label) {
  const labels = new Set(state.labels);
  if (!labels.delete(label)) labels.add(label);
  change({ labels });
}

function drawToolbar() {
  byId("gallery-note").textContent = `${whole(data.cards.length)} of ${whole(data.counts.images)} images: some samples at random, those with the weakest instance, and some of every way to fail.`;
  byId("sets").append(...Object.entries(SETS).map(([set, [title, holds]]) => el("button", { type: "button", "data-set": set, onclick: () => change({ set }) },
    `${title} ${whole(data.cards.filter(holds).length)}`)));
  const reasons = new Map();
  for (const card of data.cards.filter(card => card.status !== "ok")) reasons.set(why(card), (reasons.get(why(card)) ?? 0) + 1);
  byId("reason").append(el("option", { value: "" }, "Any reason"), ...[...reasons].sort().map(([reason, count]) => el("option", { value: reason }, `${reason} (${count})`)));
  byId("reason").hidden = reasons.size === 0;
  byId("reason").addEventListener("change", event => change({ reason: event.target.value }));
  byId("search").addEventListener("input", event => change({ query: event.target.value }));
  byId("more").addEventListener("click", () => { state.limit += PAGE; drawGallery(); });
  byId("layers").append(...Object.entries(LAYERS).map(([layer, title]) => el("button", { type: "button", "aria-pressed": "true", onclick: event => {
    const hidden = document.body.classList.toggle(`no-${layer}`);
    event.currentTarget.setAttribute("aria-pressed", !hidden);
  } }, title)));
}

// ---- one sample -------------------------------------------------------------------------------------

function drawDetail(card) {
  const step = by => {
    const cards = chosenCards();
    const next = cards[cards.findIndex(other => other.key === card.key) + by];
    return el("button", { type: "button", "data-step": by, disabled: next ? null : "", onclick: () => change({ key: next.key }) }, by < 0 ? "Previous" : "Next");
  };
  const row = entity => el("tr", { "data-id": entity.id }, el("td", {}, el("i", { class: "swatch", style: { "--ink": ink(entity.id) } }), entity.text),
    ...columns.map(([, name]) => el("td", {}, short(entity[name]))));
  const columns = [["Box", "det_score"], ["Mask", "mask_score"], ["Stability", "stability"], ["Area", "share"], ["Fill", "fill"], ["CLIP", "clip_sim"]]
    .filter(([, name]) => card.entities.some(entity => entity[name] !== null));
  const titles = ["Instance", ...columns.map(([title]) => title)];
  const facts = { Key: card.key, Shard: card.shard, Source: card.source_key, "Read from": card.source_uri, Size: card.width ? `${card.width} × ${card.height}` : "–" };
  byId("detail").replaceChildren(
    el("div", { class: "bar" }, el("h3", { id: "detail-title" }, card.source_key), step(-1), step(1), el("button", { type: "button", autofocus: "", onclick: () => byId("detail").close() }, "Close")),
    linkEntities(el("div", { class: "sides" },
      el("div", {}, el("div", { class: "frame" }, drawPicture(card, 640))),
      el("div", {}, drawVerdict(card), card.caption.length ? drawCaption(card) : null,
        card.entities.length ? el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...titles.map(title => el("th", {}, title)))), el("tbody", {}, ...card.entities.map(row)))) : null,
        el("dl", { class: "facts" }, ...Object.entries(facts).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, el("code", {}, value))])))), card));
}

function showDetail() {
  const card = data.cards.find(other => other.key === state.key);
  if (!card) return byId("detail").close();
  const step = document.activeElement?.dataset?.step;
  drawDetail(card);
  if (!byId("detail").open) byId("detail").showModal();
  const again = byId("detail").querySelector(`[data-step="${step}"]:not(:disabled)`);
  (again ?? byId("detail").querySelector("[autofocus]")).focus();
}

// ---- state, kept in the address so that a view can be sent to others ------------------------------------

function readAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  const set = address.get("set");
  Object.assign(state, { set: Object.hasOwn(SETS, set) ? set : "all", reason: address.get("reason") ?? "", query: address.get("q") ?? "",
    labels: new Set(address.getAll("label")), theme: address.get("theme") ?? "", key: address.get("key") ?? "", limit: PAGE });
}

function writeAddress() {
  const entries = [["key", state.key], ["set", state.set === "all" ? "" : state.set], ["reason", state.reason], ["q", state.query], ["theme", state.theme],
    ...[...state.labels].map(label => ["label", label])];
  history.replaceState(null, "", "#" + new URLSearchParams(entries.filter(([, value]) => value)));
}

function change(values) {
  const view = ["set", "reason", "labels", "query"].some(name => name in values);
  Object.assign(state, values, view ? { limit: PAGE } : {});
  writeAddress();
  if (view) drawGallery();
  if ("key" in values) showDetail();
  if ("theme" in values) showTheme();
}

function showTheme() {
  document.documentElement.dataset.theme = state.theme;
  const dark = state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  byId("theme").textContent = dark ? "Light" : "Dark";
  byId("theme").onclick = () => change({ theme: dark ? "light" : "dark" });
}

for (const card of data.cards) {
  const products = card.entities.map(entity => (entity.det_score ?? 1) * (entity.mask_score ?? 1));
  card.score = card.status === "ok" && products.length ? Math.min(...products) : null;
  card.text = [...card.caption.map(piece => piece[0]), " ", card.source_key, " ", card.key].join("").toLowerCase();
}
byId("detail").addEventListener("close", () => { if (state.key) change({ key: "" }); });
byId("detail").addEventListener("click", event => { if (event.target === byId("detail")) byId("detail").close(); });
byId("detail").addEventListener("keydown", event => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by) byId("detail").querySelector(`[data-step="${by}"]`).click();
});
addEventListener("hashchange", () => { readAddress(); showTheme(); drawGallery(); showDetail(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);

readAddress();
showTheme();
drawHeader();
drawFunnel();
drawSpeed();
for (const histogram of Object.values(data.histograms)) byId("histograms").append(drawHistogram(histogram));
drawLabels();
drawToolbar();
drawRecord();
drawGallery();
if (state.key) showDetail();
