// What the relay says is put in as text only: a reply of a hostile host is shown, never run.
"use strict";

const EVERY = 2000;
let before = null;

const short = (seconds) => {
  const s = Math.floor(seconds);
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${String(s % 60).padStart(2, "0")}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}m`;
  return `${Math.floor(s / 86400)}d${Math.floor((s % 86400) / 3600)}h`;
};

const make = (name, text, kind) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text === null ? "–" : String(text);
  if (kind) element.className = kind;
  return element;
};

const figures = (id, rows) => {
  document.getElementById(id).replaceChildren(...rows.map(([name, value, bad]) => {
    const pair = make("div");
    pair.append(make("dt", name), make("dd", value, bad ? "bad" : ""));
    return pair;
  }));
};

// A column is a name, a function of the row, and whether it is a number.
const table = (id, columns, rows) => {
  const head = make("tr");
  head.append(...columns.map(([name, , number]) => make("th", name, number ? "number" : "")));
  const body = rows.map((row) => {
    const line = make("tr");
    line.append(...columns.map(([, of, number]) => make("td", of(row), number ? "number" : "")));
    return line;
  });
  document.getElementById(id).replaceChildren(...(rows.length ? [head, ...body] : [make("caption", "none", "none")]));
};

const site = [
  ["destination", (s) => s.destination], ["standing", (s) => s.suspended ? "suspended" : s.standing], ["messages", (s) => s.messages, true],
  ["sessions", (s) => s.sessions, true], ["failures", (s) => s.failures, true],
  ["rests", (s) => s.rests === null ? null : short(s.rests), true],
];

const show = (now) => {
  const seconds = before ? (now.at - before.at) / 1e6 : 0;
  const rate = (key) => {
    const more = before ? now.counts[key] - before.counts[key] : -1;
    // A relay that was started anew counts from nothing.
    return seconds > 0 && more >= 0 ? `${(more / seconds).toFixed(1)}/s` : "…";
  };
  document.getElementById("who").textContent = `${now.hostname} · ${now.version}`;
  figures("pace", [
    ["in", rate("accepted")], ["delivered", rate("delivered")], ["deferred", rate("deferred")], ["failed", rate("failed")],
    ["taken so far", now.counts.accepted], ["delivered so far", now.counts.delivered],
    ["refusals", now.counts.refused], ["overdue", now.counts.overdue, now.counts.overdue > 0],
    ["panics", now.counts.panics, now.counts.panics > 0],
  ]);
  const q = now.queue;
  figures("queue", [
    ["messages", q.messages], ["active", q.active], ["ready", q.ready], ["waiting", q.waiting], ["resting", q.resting],
    ["blocked", q.blocked], ["held", q.held], ["suspended", q.suspended],
    ["quarantined", q.quarantined, q.quarantined > 0],
    ["destinations", q.destinations], ["that rest", q.destinations_resting], ["that are suspended", q.destinations_suspended],
  ]);
  const seats = now.seats;
  figures("sessions", [
    ["slots", `${now.slots} of ${seats.pool}`], ["proven", seats.proven], ["new", seats.new], ["suspect", seats.suspect],
    ...Object.entries(now.phases), ["clients", `${now.clients} of ${now.clients_most}`],
  ]);
  table("busiest", site, now.busiest);
  table("worst", [...site, ["last failure", (s) => s.last]], now.worst);
  table("longest", [
    ["destination", (s) => s.destination], ["host", (s) => s.mx], ["address", (s) => s.address], ["phase", (s) => s.phase],
    ["for", (s) => short(s.in_phase), true], ["left", (s) => short(s.left), true], ["message", (s) => s.message],
  ], now.longest);
  const waits = now.oldest.flatMap((m) => m.recipients.map((r) => ({ m, r })));
  table("oldest", [
    ["id", (w) => w.m.id], ["age", (w) => short(w.m.age), true], ["from", (w) => w.m.from || "<>"], ["to", (w) => w.r.to],
    ["state", (w) => w.r.state], ["why", (w) => w.r.why],
  ], waits.slice(0, 10));
  table("failures", [
    ["time", (f) => new Date(f.at * 1000).toISOString().slice(11, 19)], ["id", (f) => f.id], ["to", (f) => f.to],
    ["outcome", (f) => f.outcome], ["phase", (f) => f.phase], ["status", (f) => f.status], ["text", (f) => f.text],
  ], now.failures);
  before = now;
};

const ask = async () => {
  const state = document.getElementById("state");
  try {
    const answer = await fetch("/overview.json", { cache: "no-store", signal: AbortSignal.timeout(15000) });
    if (!answer.ok) throw new Error(await answer.text());
    show(await answer.json());
    state.textContent = `as of ${new Date().toISOString().slice(11, 19)} UTC`;
    state.className = "";
  } catch (error) {
    state.textContent = `no answer: ${error.message}`;
    state.className = "lost";
  }
  setTimeout(ask, EVERY);
};

ask();
