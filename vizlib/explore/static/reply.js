// What the network answers: a bar for each class, and one sentence.

import { element, put } from "./elements.js";
import { winnerOf } from "./numbers.js";
import { Scores } from "./scores.js";

export class Reply {
  constructor(bars, said, state, actions) {
    Object.assign(this, { bars, said, state });
    const { ends, data, network, made } = state;
    const show = (channel) => actions.go({ layer: ends.scores, channel });
    bars.hidden = !ends;
    if (ends) this.scores = new Scores(bars, data.classes, show);
    else put(said, `gives ${made[network.output].shape.slice(1).join("×")} numbers`);
  }

  paint() {
    const { says } = this.state;
    if (says) return this.say([says]);
    if (!this.scores) return;
    const { ends, made, whole, isWhole, isEmpty, place, data } = this.state,
      { values } = made[ends.scores];
    const before = isWhole ? null : whole[ends.scores].values,
      label = (place.image === null ? null : data.labels[place.image]) ?? null;
    this.scores.show(values, before, place.layer === ends.scores ? place.channel : null, label);
    for (const each of [this.said, this.bars]) each.classList.toggle("empty", isEmpty);
    this.say(isEmpty ? ["An empty pad: draw a digit"] : sentence(values, before, label, data.classes));
  }

  // What is read out loud changes only where it says something else.
  say(parts) {
    const text = parts.map((each) => each.textContent ?? each).join("");
    if (this.said.textContent !== text) this.said.replaceChildren(...parts);
  }
}

function sentence(values, before, label, classes) {
  const winner = winnerOf(values),
    runner = winnerOf(values.map((value, i) => (i === winner ? -Infinity : value)));
  const one = (value) => (Number(value.toFixed(1)) || 0).toFixed(1).replace("-", "−"), // no −0.0
    ahead = one(values[winner] - values[runner]);
  const was = before && winnerOf(before) !== winner ? `, not ${classes[winnerOf(before)]}` : "",
    truth = label === null ? "" : `; label ${classes[label] ?? label}`;
  const score = ` with a score of ${one(values[winner])}, ${ahead} ahead of ${classes[runner]}`;
  return ["It reads ", element("b", {}, classes[winner]), `${score}${was}${truth}`];
}
