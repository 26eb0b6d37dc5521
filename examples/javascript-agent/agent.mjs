// An agent of the fleet in JavaScript, as docs/wire.md describes it: joins, says how it is, measures mesh time, and is
// ready when it is asked to be. No dependency; a browser needs another way to the key and to SHA-256, and nothing else.

import { readFileSync } from "node:fs";
import { decode } from "./msgpack.mjs";
import { Nats, sha256 } from "./nats.mjs";

const [url, seedFile, mesh = "default", id = "s000.c00.a00", ...capabilities] = process.argv.slice(2);
const [sector, cluster, number] = id.match(/\d+/g).map(Number);
const lead = `mesh.${mesh}.s.${sector}.c.${cluster}`;
const born = Date.now();
const now = () => Math.round(performance.now() * 1000); // microseconds of a clock that never steps

// What this agent does with the payload of a message. A string is an answer; throwing a Conflict says no.
class Conflict extends Error {}
async function work(verb, payload) {
  if (verb === "decide") return `I would ${payload.toString()}`;
  return "";
}

// Mesh time: the probe with the least round trip of the last eight says how far our clock is off.
const sent = new Set();
const samples = [];
let clockLife = "";
function probe() {
  const at = now();
  sent.add(at);
  if (sent.size > 16) sent.delete(sent.values().next().value);
  say("hb", [107, at, born]);
}
function hearEcho([sentAt, received, answered, incarnation, era = 0, error = 0]) {
  const heard = now();
  if (!sent.delete(sentAt)) return;
  if (clockLife !== `${era}.${incarnation}`) samples.length = 0; // another clock: begin anew
  clockLife = `${era}.${incarnation}`;
  const trip = heard - sentAt - (answered - received);
  if (trip < 0) return;
  samples.push({ trip, offset: (received - sentAt + answered - heard) / 2, error: trip / 2 + error });
  if (samples.length > 8) samples.shift();
}
const best = () => samples.reduce((one, other) => (other.trip < one.trip ? other : one));
const meshTime = () => Math.round(samples.length ? now() + best().offset : Date.now() * 1000);

// What is said: JSON, in no order (no sequence), with our hybrid time, here simply the millisecond.
function say(part, ...bodies) {
  const stamp = BigInt(Math.floor(meshTime() / 1000)) * 65536n;
  nats.publish(`${lead}.${part}`, `[1,${JSON.stringify(id)},${born},${stamp},${JSON.stringify(bodies)}]`);
}

let duty = "ready";
let [done, failed, spent] = [0, 0, 0];
function heartbeat(liveness = "active") {
  const trip = samples.length ? best().trip / 1000 : null;
  const reliability = done + failed ? done / (done + failed) : null;
  say("hb", [105, id, trip, done ? spent / done : null, acks.size - finished, reliability, null, liveness, duty]);
}

function isPast([, , created, ttl = 30_000]) {
  const error = samples.length ? best().error : 0;
  return meshTime() - error > (Number(BigInt(created) / 65536n) + ttl) * 1000;
}

// A message is done once, and acknowledged each time that it comes.
const acks = new Map();
let finished = 0;
async function hearCoordinate([head, verb, target = 0, timing = "now", payload = Buffer.alloc(0), hash = Buffer.alloc(0), ...rest]) {
  const messageId = head[0];
  const requires = rest[4] ?? [];
  const arrived = meshTime();
  if (isPast(head)) return;
  if ((payload.length || hash.length) && !sha256(payload).equals(hash)) return; // altered on the way
  if (acks.has(messageId)) return acks.get(messageId) && say("ack", acks.get(messageId));
  acks.set(messageId, null);
  const began = now();
  let [state, answer, conflict] = [1, "", null];
  try {
    const missing = requires.filter((one) => !capabilities.includes(one));
    if (missing.length) throw new Conflict(`capability_mismatch ${missing}`);
    if (duty === "frozen") throw new Conflict("frozen");
    answer = await work(verb, payload);
    done++;
  } catch (problem) {
    failed++;
    state = -1;
    const [kind, received = ""] = problem instanceof Conflict ? problem.message.split(" ") : ["failed", String(problem)];
    conflict = [kind, requires.join(","), received];
  }
  const processing = (now() - began) / 1000;
  spent += processing;
  while (state === 1 && timing === "hold" && meshTime() < target) {
    await new Promise((wake) => setTimeout(wake, Math.max(0, (target - meshTime()) / 1000)));
  }
  const ack = [106, messageId, id, arrived, processing, state, state === 1 ? meshTime() : 0, Buffer.from(answer).toString("base64"), conflict];
  acks.set(messageId, ack);
  finished++;
  if (acks.size > 1000) { acks.delete(acks.keys().next().value); finished--; }
  say("ack", ack);
}

function hear(bytes) {
  const [version, , , , bodies] = decode(bytes);
  if (version !== 1) return;
  for (const [tag, ...fields] of bodies) {
    if (tag === 101) hearCoordinate(fields);
    if (tag === 103 && !isPast(fields[0])) { duty = fields[4] ? "ready" : "frozen"; heartbeat(); }
    if (tag === 108) hearEcho(fields);
  }
}

function opened() {
  say("hb", [104, id, "E", capabilities, born, "javascript"]);
  for (let burst = 0; burst < 6; burst++) setTimeout(probe, 50 * burst);
  heartbeat("joining");
  setTimeout(heartbeat, 400);
}
const nats = new Nats(url, readFileSync(seedFile, "utf8"), { [`${lead}.a.${number}`]: hear }, opened);
const beating = setInterval(() => { probe(); heartbeat(); }, 5_000);
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => { clearInterval(beating); heartbeat("left"); setTimeout(() => { nats.close(); process.exit(0); }, 100); });
}
