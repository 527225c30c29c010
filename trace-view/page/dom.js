// Builds elements. Telemetry is hostile until proven otherwise, so text only ever becomes text nodes.

/**
 * @param {string} tag
 * @param {Record<string, unknown>} props `class`, `style` (custom properties), `on` (listeners), attributes;
 *   attributes that are undefined, null or false are left out
 * @param {...(Node | string | number | undefined | null | false)} children
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === 'style') {
      for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
    } else if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value !== undefined && value !== null && value !== false) {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  element.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

const PALETTE = 8;
/** @type {Map<string, number>} */
const colours = new Map();

/** The class that gives a service its colour: the same on every reload, unless two names clash. */
export function serviceColour(name) {
  let colour = colours.get(name);
  if (colour === undefined) {
    let hash = 0;
    for (const char of name) hash = (Math.imul(hash, 31) + char.codePointAt(0)) >>> 0;
    colour = hash % PALETTE;
    const taken = new Set(colours.values());
    for (let tries = 0; taken.has(colour) && tries < PALETTE; tries++) colour = (colour + 1) % PALETTE;
    colours.set(name, colour);
  }
  return `service-${colour}`;
}

export function serviceChip(name) {
  return h('span', { class: `chip ${serviceColour(name)}` }, name);
}

/** A text in a fixed-width face with a button that copies it. */
export function copyable(text, label) {
  const code = h('code', {}, text);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'Copied';
      setTimeout(() => {
        button.textContent = 'Copy';
      }, 1200);
    } catch {
      // No clipboard outside of secure contexts: the reader's own shortcut still works.
      getSelection()?.selectAllChildren(code);
    }
  };
  const props = { class: 'copy', type: 'button', 'aria-label': `Copy ${label}`, on: { click: copy } };
  const button = h('button', props, 'Copy');
  return h('span', { class: 'copyable' }, code, button);
}
