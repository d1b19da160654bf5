// What steers the page below the picture: the sliders, playing through the layers, all on again.

import { element, put } from "./elements.js";
import { Slider } from "./slider.js";

const PLAY = 1400; // milliseconds a layer

export class Controls {
  // In a notebook there are sliders already, and playing has its place beside the name.
  constructor(root, restore, state, actions, isLinked) {
    Object.assign(this, { restore, state, actions });
    this.layer = new Slider("layer", (at) => actions.go({ layer: state.names[at] }));
    this.channel = new Slider("channel", (at) => actions.go({ channel: at }));
    this.strength = new Slider("strength", (at) => actions.fade(at), { max: 1, step: 0.1 });
    const toggle = () => actions.fade(state.factor < 1 ? 1 : 0);
    this.toggle = element("button", { type: "button", role: "switch", class: "switch", onclick: toggle });
    this.strength.output.replaceWith(this.toggle);
    restore.onclick = () => actions.restore();
    if (isLinked) restore.before(this.player());
    else root.append(this.player(), this.layer.root, this.channel.root, this.strength.root);
    this.strength.root.hidden = Boolean(state.fed); // a recording has no other strength
  }

  player() {
    let timer = 0;
    const play = element("button", { type: "button", class: "play" }, "▶ Play layers");
    play.onclick = () => {
      clearInterval(timer);
      timer = timer ? 0 : setInterval(() => this.goOn(), PLAY);
      put(play, timer ? "❚❚ Pause" : "▶ Play layers");
    };
    return play;
  }

  get number() {
    return this.state.names.indexOf(this.state.place.layer);
  }

  goOn() {
    const { names } = this.state;
    this.actions.go({ layer: names[(this.number + 1) % names.length] });
  }

  paint() {
    const { names, place, maps, unit, factor, changes } = this.state;
    const short = place.layer.split(".").slice(-2).join(".");
    this.layer.show(this.number, names.length - 1, short);
    this.channel.show(place.channel, maps.count - 1, `${place.channel} of ${maps.count}`, unit);
    this.strength.show(factor, 1, String(factor));
    this.toggle.setAttribute("aria-checked", String(factor > 0));
    put(this.toggle, factor === 1 ? "on" : factor === 0 ? "off" : factor.toFixed(1));
    const count = Object.values(changes).reduce((sum, own) => sum + Object.keys(own).length, 0);
    this.restore.hidden = !count;
    put(this.restore, `Switch all on again (${count})`);
  }
}
