// Time: a step goes through five phases; Play goes through all steps. Whoever prefers no motion sees
// finished steps.

import { within } from "./numbers.js";

const PHASES = [450, 550, 1100, 1100, 550]; // ms: glide, lift, multiply, add, land
export const DONE = PHASES.length;
const GLIDE = 350, // ms to a place that was chosen
  QUICK = 16, // from this speed on, steps have no phases
  WHOLE = 2400, // ms of such a step at speed 1
  CALM = 900, // ms of a step without motion
  LONGEST = 80; // ms of a frame: a page that slept goes on where it was
export const SPEEDS = [
  ["slow", 0.4],
  ["normal", 1],
  ["fast", 3],
  ["glide only", 16],
  ["rush", 90],
];

const ease = (share) => (share < 0.5 ? 2 * share * share : 1 - 2 * (1 - share) ** 2);
export const eased = (share) => ease(within(share, 0, 1));

export class Player {
  // `count()` is how many steps there are, `go(k)` says where it is now, `paint()` shows the moment.
  constructor({ k, count, go, paint }) {
    Object.assign(this, { k, from: k, count, go, paint, time: DONE, glide: 1, isPlaying: false, speed: 1 });
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
  }

  get isLast() {
    return this.k >= this.count() - 1;
  }

  // How far the window has come from the step before.
  get way() {
    return eased(this.time < 1 ? this.time : this.glide);
  }

  // Another step is chosen: the window glides there, and its numbers are there at once.
  visit(k) {
    this.stop();
    this.from = this.k;
    this.step(within(k, 0, this.count() - 1));
    Object.assign(this, { time: DONE, glide: this.calm.matches ? 1 : 0 });
    this.start();
  }

  // The first press makes the next step, a second one during it ends it.
  next() {
    this.isPlaying = false;
    if (this.time < DONE) this.time = DONE;
    else if (!this.isLast) this.begin();
    this.start();
  }

  back() {
    this.visit(this.time < DONE ? this.k : this.k - 1);
  }

  // From the last step Play begins anew.
  toggle() {
    this.isPlaying = !this.isPlaying;
    if (this.isPlaying && this.isLast && this.time >= DONE) {
      this.step(0);
      Object.assign(this, { from: 0, time: this.calm.matches ? DONE : 0 });
    }
    this.start();
  }

  stop() {
    this.isPlaying = false;
  }

  // Ends what is moving, where the numbers are no longer the same.
  settle() {
    Object.assign(this, { time: DONE, glide: 1 });
    const last = Math.max(0, this.count() - 1);
    if (this.k > last) this.step(last);
    this.from = this.k;
  }

  step(k) {
    if (k === this.k) return;
    this.k = k;
    this.go(k);
  }

  begin() {
    this.from = this.k;
    this.step(this.k + 1);
    Object.assign(this, { time: this.calm.matches ? DONE : 0, glide: 1 });
  }

  start() {
    this.paint();
    if (this.isTicking) return;
    this.isTicking = true;
    this.before = performance.now();
    requestAnimationFrame((now) => this.tick(now));
  }

  tick(now) {
    const passed = within(now - this.before, 0, LONGEST);
    if (this.calm.matches) this.waitCalmly(now);
    else {
      this.before = now;
      this.glide = Math.min(1, this.glide + passed / GLIDE);
      this.pass(passed * this.speed);
    }
    this.paint();
    this.isTicking = this.time < DONE || this.glide < 1 || this.isPlaying;
    if (this.isTicking) requestAnimationFrame((later) => this.tick(later));
  }

  waitCalmly(now) {
    Object.assign(this, { time: DONE, glide: 1 });
    if (!this.isPlaying || now - this.before < CALM / Math.min(this.speed, 30)) return;
    this.before = now;
    if (this.isLast) this.stop();
    else this.begin();
  }

  pass(left) {
    const isQuick = this.speed >= QUICK;
    while (left > 0 && (this.time < DONE || this.isPlaying)) {
      if (this.time >= DONE) {
        if (this.isLast) return this.stop();
        this.begin();
      }
      const phase = Math.floor(this.time),
        whole = isQuick ? WHOLE : PHASES[phase],
        need = whole * (phase + 1 - this.time);
      if (left < need) this.time += left / whole;
      else this.time = isQuick ? DONE : phase + 1;
      left -= need;
    }
    return undefined;
  }
}
