// Markup as template literals: html`<p>${text}</p>`, every value a text node or an attribute, never markup.

import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);
