/**
 * Pieces of the reference pages that are generated.
 *
 * @module
 */

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(" | ")} |\n`;
  return line(head) + line(head.map(() => "---")) + rows.map(line).join("");
}

/** A cell has one line, and no bar that would end it. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ").trim();
}

export function code(text: string): string {
  return text === "" ? "" : `\`${text}\``;
}

export function generatedFrom(source: string): string {
  return `This page is generated from \`${source}\` by \`npm run docs\`.\n`;
}
