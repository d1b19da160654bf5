// Where a network is computed: a slow one in a thread of its own, and the page goes on meanwhile.
// A quick one is computed in the page's thread, for a message would take longer; and so is any
// where the page allows no other thread, in slices.
//
// A question has a name. It is answered to its end; of those that come meanwhile the last one waits.

import { Jobs, answering } from "./jobs.js";

export class Thread {
  constructor({ program, engine }) {
    Object.assign(this, { program, jobs: new Jobs(), asked: new Map(), waiting: new Map(), count: 0 });
    if (engine) this.open(engine);
  }

  open(engine) {
    this.address = URL.createObjectURL(new Blob([engine], { type: "text/javascript" }));
    try {
      this.own = new Worker(this.address);
    } catch {
      return;
    }
    this.own.onmessage = ({ data }) => this.hear(data);
    this.own.onerror = (event) => this.fallBack(event);
    this.own.postMessage({ program: this.program });
  }

  // Some pages tell only later that they allow none.
  fallBack(event) {
    event.preventDefault();
    this.own.terminate();
    this.own = null;
    const asked = [...this.asked];
    this.asked.clear();
    for (const [name, { question, ...told }] of asked) this.ask(name, question, told);
  }

  // `question` is for `answering`; onEnd hears the answer, and onPart its parts.
  ask(name, question, { onEnd, onPart }) {
    if (this.asked.has(name)) return this.waiting.set(name, [question, { onEnd, onPart }]);
    const number = ++this.count;
    this.asked.set(name, { question, onEnd, onPart, number });
    if (this.own) return this.send({ name, number, ...question });
    this.jobs.start(name, answering(this.program, question, onPart), (made) => this.finish(name, made));
  }

  answer(name, question) {
    return new Promise((onEnd) => this.ask(name, question, { onEnd }));
  }

  // The weights go there when they are others, without what else lies in their buffer.
  send({ tensors, ...message }) {
    if (this.sent !== tensors) {
      const copies = tensors.map(({ shape, values }) => ({ shape, values: values.slice() }));
      const buffers = copies.map(({ values }) => values.buffer);
      this.own.postMessage({ tensors: copies }, buffers);
      this.sent = tensors;
    }
    this.own.postMessage(message);
  }

  hear({ name, number, part, made }) {
    const asked = this.asked.get(name);
    if (asked?.number !== number) return; // nobody waits for it any more
    if (part) return asked.onPart(part);
    this.finish(name, { __proto__: null, input: asked.question.image, ...Object.fromEntries(made) });
  }

  finish(name, made) {
    const { onEnd } = this.asked.get(name);
    this.asked.delete(name);
    const next = this.waiting.get(name);
    this.waiting.delete(name);
    onEnd(made);
    if (next) this.ask(name, ...next);
  }

  stop(name) {
    this.asked.delete(name);
    this.waiting.delete(name);
    this.jobs.stop(name);
    this.own?.postMessage({ stop: name });
  }

  end() {
    for (const name of [...this.asked.keys()]) this.stop(name);
    this.own?.terminate();
    URL.revokeObjectURL(this.address);
  }
}
