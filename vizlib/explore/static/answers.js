// What the network makes of the image: with what is switched off, with all on, without each channel.

import { Jobs, allStages, withoutEach } from "./jobs.js";

const PAUSE = 100; // milliseconds without another answer
const MOST_NEEDED = 512; // channels for which it is computed what they are needed for

export class Answers {
  constructor(state, onNew) {
    this.state = state;
    this.onNew = onNew;
    this.jobs = new Jobs();
    if (state.fed) state.fed.onNew = onNew;
  }

  answer() {
    const { state, jobs } = this,
      { program } = state.data,
      { isWhole } = state;
    if (state.fed) return state.fed.ask();
    jobs.start("answer", allStages(program, state.tensors, state.input, state.changes), (made) => {
      state.made = made;
      if (isWhole) state.whole = made;
      this.onNew();
      this.askLater();
    });
    if (state.beside >= 0) this.answerBeside();
    if (isWhole) return;
    jobs.start("whole", allStages(program, state.tensors, state.input, {}), (made) => {
      state.whole = made;
      this.onNew();
    });
  }

  // A stroke that goes on would wait for what its last moment needed.
  askLater() {
    this.jobs.stop("needs");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), PAUSE);
  }

  answerBeside() {
    const { state, jobs } = this,
      { beside, images, fed } = state;
    if (fed) return fed.ask();
    if (beside < 0) {
      state.other = null;
      jobs.stop("beside");
      return this.onNew();
    }
    const stages = allStages(state.data.program, state.tensors, images.input(beside), state.changes);
    jobs.start("beside", stages, (made) => {
      state.other = made;
      this.onNew();
    });
  }

  // What the channels are needed for takes as many passes as there are channels: it comes later.
  ask() {
    const { network, tensors, made, changes, ends, place, maps, fed, refusals } = this.state,
      { layer } = place;
    if (fed && layer in refusals) fed.ask();
    if (fed || !ends || layer === ends.last || layer === ends.scores) return this.jobs.stop("needs");
    const about = { scores: ends.scores, count: Math.min(maps.count, MOST_NEEDED) };
    const found = { layer, count: about.count, without: [], score: made[ends.scores].values };
    const show = () => {
      this.state.needs = found;
      this.onNew();
    };
    const job = withoutEach(network, tensors, made, changes, layer, about, (channel) => {
      found.without.push(channel);
      // The bars of the last image stand until those of this one are there, unless that takes long.
      if (found.without.length % 16 === 0 && this.state.needs?.layer !== layer) show();
    });
    this.jobs.start("needs", job, show);
  }
}
