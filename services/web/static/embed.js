// The bare player for other sites.

import { start } from "./watching.js";

start();
