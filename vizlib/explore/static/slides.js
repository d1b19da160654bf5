// The view of frames that a kernel makes, or that a page holds.

import { Frames } from "./frames.js";
import { viewOf } from "./viewing.js";

const widget = viewOf((model) => new Frames(model));
export default widget;
