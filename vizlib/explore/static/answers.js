// What the network makes of the image: with what is switched off, with all on, without each channel.

import { Jobs, allStages, withoutEach } from "./jobs.js";

const MOST_NEEDED = 512; // channels for which it is computed what they are needed for

export class Answers {
  constructor(state, onNew) {
    this.state = state;
    this.onNew = onNew;
    this.jobs = new Jobs();
  }

  answer() {
    const { state, jobs } = this,
      { program } = state.data,
      { isWhole } = state;
    jobs.start("answer", allStages(program, state.tensors, state.input, state.changes), (made) => {
      state.made = made;
      if (isWhole) state.whole = made;
      this.onNew();
      this.ask();
    });
    if (isWhole) return;
    jobs.start("whole", allStages(program, state.tensors, state.input, {}), (made) => {
      state.whole = made;
      this.onNew();
    });
  }

  // What the channels are needed for takes as many passes as there are channels: it comes later.
  ask() {
    const { network, tensors, made, changes, ends, place, maps } = this.state,
      { layer } = place;
    if (!ends || layer === ends.last || layer === ends.scores) return this.jobs.stop("needs");
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
