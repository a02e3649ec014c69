import assert from "node:assert/strict";
import { shownColumns } from "./view_columns.ts";

Deno.test("columns of a view come from its own list, whatever stands in subqueries and names", () => {
  const entry = (expr: string, place: number, name: string, from: string) =>
    `{TARGETENTRY :expr ${expr} :resno ${place} :resname ${name} :ressortgroupref 0 ${from} :resjunk false}`;
  const inner = `{QUERY :targetList (${entry("{VAR :varno 1}", 1, "id", ":resorigtbl 7 :resorigcol 7")})}`;
  const tree = `({QUERY :rtable ({RTE :subquery ${inner}}) :targetList (${
    [
      entry("{VAR :varno 1}", 1, "id", ":resorigtbl 11 :resorigcol 2"),
      entry(`{SUBLINK :subselect ${inner}}`, 2, "od\\ d\\{\\}\\\\", ":resorigtbl 0 :resorigcol 0"),
      entry("{OPEXPR :args ({VAR :varno 1} {CONST :constvalue 5 [ 20 0 ]})}", 3, "x", ":resorigtbl 12 :resorigcol 3"),
    ].join(" ")
  }) :havingQual {SUBLINK :subselect ${inner}}})`;
  assert.deepEqual(shownColumns(tree), [
    { place: 1, ofRelation: 11, ofPlace: 2 },
    { place: 3, ofRelation: 12, ofPlace: 3 },
  ]);
  for (const broken of ["", "<>", "({QUERY", "}}}}", "\\"]) assert.deepEqual(shownColumns(broken), []);
});
