// The view of a network.

import { liveView } from "./live.js";

const widget = liveView();
export default widget;
