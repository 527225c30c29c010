import { readFileSync, writeFileSync } from 'node:fs';
import { at } from '../../scripts/lib/project.mjs';

const README = at('bench/README.md');

/** What a command prints, and with `--save` puts into the README between its marks. */
export class Report {
  #lines = [];

  say(...lines) {
    this.#lines.push(...lines);
    for (const line of lines) console.log(line);
  }

  save(name) {
    const text = readFileSync(README, 'utf8');
    const marks = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
    const [start, end] = marks.map((mark) => text.indexOf(mark));
    if (start === -1 || end === -1) throw new Error(`${README} has no place for ${name}`);
    const lines = this.#lines.map((line) => `${line}\n`).join('');
    writeFileSync(README, text.slice(0, start + marks[0].length) + lines + text.slice(end));
  }
}
