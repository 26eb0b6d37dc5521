// NATS over WebSocket, as much of it as an agent needs: the key's signature, subscribe, publish, and coming back.

import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex"); // an Ed25519 key begins so
const USER = 20 << 3; // what the public key of a user begins with

/** A connection that is kept: `subjects` maps a subject to a function of (bytes); `opened` is called after each connect. */
export class Nats {
  constructor(url, seed, subjects, opened) {
    Object.assign(this, { url, key: readSeed(seed), subjects, opened, closed: false });
    this.connect();
  }

  connect() {
    this.buffer = Buffer.alloc(0);
    this.introduced = false;
    this.socket = new WebSocket(this.url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => this.read(Buffer.from(data));
    this.socket.onerror = () => {}; // `onclose` follows
    this.socket.onclose = () => this.closed || setTimeout(() => this.connect(), 500 + 1000 * Math.random());
  }

  publish(subject, data) {
    if (this.socket.readyState !== WebSocket.OPEN) return; // what matters is said again after the next connect
    const bytes = Buffer.from(data);
    this.socket.send(Buffer.concat([Buffer.from(`PUB ${subject} ${bytes.length}\r\n`), bytes, Buffer.from("\r\n")]));
  }

  close() {
    this.closed = true;
    this.socket.close();
  }

  read(bytes) {
    this.buffer = Buffer.concat([this.buffer, bytes]);
    for (let end; (end = this.buffer.indexOf("\r\n")) >= 0; ) {
      const line = this.buffer.toString("latin1", 0, end);
      const words = line.split(" ");
      let used = end + 2;
      if (words[0] === "MSG") {
        const size = Number(words.at(-1));
        if (this.buffer.length < used + size + 2) return; // the rest is on its way
        this.subjects[words[1]]?.(this.buffer.subarray(used, used + size));
        used += size + 2;
      } else if (words[0] === "INFO" && !this.introduced) { // later ones tell what has changed
        this.introduced = true;
        this.introduce(JSON.parse(line.slice(5)));
      } else if (words[0] === "PING") {
        this.socket.send("PONG\r\n");
      } else if (words[0] === "-ERR") {
        console.error(`the server says: ${line}`);
      }
      this.buffer = this.buffer.subarray(used);
    }
  }

  introduce({ nonce }) {
    const signature = sign(null, Buffer.from(nonce), this.key.private).toString("base64url");
    const about = { verbose: false, lang: "javascript", version: "1", protocol: 1, nkey: this.key.public, sig: signature };
    const lines = Object.keys(this.subjects).map((subject, place) => `SUB ${subject} ${place + 1}\r\n`);
    this.socket.send(`CONNECT ${JSON.stringify(about)}\r\n${lines.join("")}PING\r\n`);
    this.opened();
  }
}

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest();

/** The key pair of an NKey seed ("SU..."): two bytes that say what it is, 32 of the seed, two of a check sum. */
function readSeed(text) {
  let bits = "";
  for (const letter of text.trim()) bits += ALPHABET.indexOf(letter).toString(2).padStart(5, "0");
  const bytes = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, bytes.subarray(2, 34)]), format: "der", type: "pkcs8" });
  const raw = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
  return { private: key, public: base32(withCheckSum(Buffer.from([USER, ...raw]))) };
}

function withCheckSum(bytes) {
  let sum = 0; // CRC-16, polynomial 0x1021
  for (const byte of bytes) {
    sum ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) sum = ((sum << 1) ^ (sum & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return Buffer.from([...bytes, sum & 255, sum >> 8]);
}

function base32(bytes) {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return bits.match(/.{1,5}/g).map((five) => ALPHABET[parseInt(five.padEnd(5, "0"), 2)]).join("");
}
