// Lines of Markdown.

export function row(...cells) {
  return `| ${cells.join(' | ')} |`;
}

/** The two lines with which a table begins. */
export function head(...titles) {
  return [row(...titles), row(...titles.map(() => '---'))];
}
