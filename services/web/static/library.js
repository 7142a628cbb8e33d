// The library page.

import * as cards from "./cards.js";
import * as transfers from "./transfers.js";

cards.start();
transfers.start((upload) => cards.draw(upload.id));
