// The start of the page.

import { showChrome } from "./chrome.js";
import { Composer } from "./composer.js";
import { showDialogs } from "./dialogs.js";
import { showMessages } from "./messages.js";
import { showPanel } from "./panel.js";
import { showPlaces } from "./places.js";
import { Store } from "./store.js";
import { follow } from "./stream.js";

const store = new Store();
const composer = new Composer(store);
showChrome(store);
showPlaces(store);
showMessages(store, composer);
showDialogs(store);
showPanel(store);
follow(store);
