// What the network makes of the image: with what is switched off, with all on, without each channel.

import { winnerOf } from "./numbers.js";

const PAUSE = 100; // milliseconds without another answer
const MOST_NEEDED = 512; // channels for which it is computed what they are needed for

export class Answers {
  constructor(state, onNew) {
    this.state = state;
    this.onNew = onNew;
    this.wholeBy = state.tensors; // which weights the answer with all on was computed with
    if (state.fed) state.fed.onNew = onNew;
  }

  answer() {
    const { state } = this,
      { isWhole, input, tensors } = state;
    if (state.fed) return state.fed.ask();
    state.thread.stop("needs");
    this.stages("answer", input, state.changes, (made) => {
      state.made = made;
      if (isWhole) this.keepWhole(made, tensors);
      this.onNew();
      this.askLater();
    });
    if (state.beside >= 0) this.answerBeside();
    if (isWhole || (state.whole.input === input && this.wholeBy === tensors)) return;
    this.stages("whole", input, {}, (made) => {
      this.keepWhole(made, tensors);
      this.onNew();
    });
  }

  keepWhole(made, tensors) {
    this.state.whole = made;
    this.wholeBy = tensors;
  }

  stages(name, image, changes, onEnd) {
    const { thread, tensors } = this.state;
    thread.ask(name, { tensors, image, changes }, { onEnd });
  }

  // A stroke that goes on would wait for what its last moment needed.
  askLater() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), PAUSE);
  }

  answerBeside() {
    const { state } = this,
      { beside, images, fed, thread } = state;
    if (fed) return fed.ask();
    if (beside < 0) {
      state.other = null;
      thread.stop("beside");
      return this.onNew();
    }
    this.stages("beside", images.input(beside), state.changes, (made) => {
      state.other = made;
      this.onNew();
    });
  }

  // What the channels are needed for takes as many passes as there are channels: it comes later.
  ask() {
    const { state } = this,
      { thread, tensors, made, changes, ends, place, maps, fed, refusals } = state,
      { layer } = place;
    if (fed && layer in refusals) fed.ask();
    thread.stop("needs");
    if (fed || !ends || layer === ends.last || layer === ends.scores) return;
    const count = Math.min(maps.count, MOST_NEEDED),
      found = { layer, count, without: [], score: made[ends.scores].values },
      winner = winnerOf(found.score);
    const onEnd = () => {
      state.needs = found;
      this.onNew();
    };
    const onPart = (scores) => {
      found.without.push({ score: scores[winner], winner: winnerOf(scores) });
      // The bars of the last image stand until those of this one are there, unless that takes long.
      if (found.without.length % 16 === 0 && state.needs?.layer !== layer) onEnd();
    };
    const without = { layer, scores: ends.scores, count };
    thread.ask("needs", { tensors, image: made.input, changes, without }, { onEnd, onPart });
  }
}
