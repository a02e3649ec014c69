/**
 * Which column of a view shows which column of a table: Postgres keeps that in the tree of the view's query.
 *
 * @module
 */

/** By their numbers, as the catalog of Postgres has them. */
export interface ShownColumn {
  readonly place: number;
  readonly ofRelation: number;
  readonly ofPlace: number;
}

/** Deeper than the query, and an entry of its list. */
const DEPTH_MAX = 2;
const ENTRY = /\{TARGETENTRY [^{}]*? :resno (\d+) .*?:resorigtbl (\d+) :resorigcol (\d+) :resjunk (?:true|false)\}/g;

/**
 * Of the outermost query only: what a subquery selects has entries of its own, deeper inside.
 *
 *     ({QUERY … :targetList ({TARGETENTRY :expr {…} :resno 1 :resname id … :resorigtbl 17605 :resorigcol 1 …}) …})
 */
export function shownColumns(tree: string): ShownColumn[] {
  return [...outermost(tree).matchAll(ENTRY)].map(([, place, relation, column]) => ({
    place: Number(place),
    ofRelation: Number(relation),
    ofPlace: Number(column),
  })).filter(({ ofRelation }) => ofRelation > 0);
}

/** Without what is nested deeper. A backslash stands before each special letter of a name. */
function outermost(tree: string): string {
  const kept: string[] = [];
  let depth = 0;
  let from = 0;
  for (let index = 0; index < tree.length; index += 1) {
    const letter = tree[index];
    if (letter === "\\") index += 1;
    else if (letter === "{") {
      if (depth === DEPTH_MAX) kept.push(tree.slice(from, index));
      depth += 1;
    } else if (letter === "}") {
      depth -= 1;
      if (depth === DEPTH_MAX) from = index + 1;
    }
  }
  kept.push(tree.slice(from));
  return kept.join("").replaceAll(/\\./gs, "_");
}
