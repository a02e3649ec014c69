/**
 * Which rows a hook is about, as an admin writes it: `status=eq.paid&amount=gt.100`.
 *
 * @module
 */
import { ROW_OPERATORS, type RowFilter, type RowOperator } from "../storage/outbox.ts";

const FILTERS_MAX_COUNT = 20;
const COLUMN_MAX_CHARACTERS = 63;

/** The conditions, which all must hold, or a sentence that says what is wrong. */
export function parseRowFilters(text: string): RowFilter[] | string {
  const filters: RowFilter[] = [];
  for (const [column, test] of new URLSearchParams(text)) {
    const [, operator = "", value = ""] = /^([a-z]+)\.(.*)$/s.exec(test) ?? [];
    if (column === "" || column.length > COLUMN_MAX_CHARACTERS) {
      return `"${column.slice(0, 80)}" is no name of a column`;
    }
    if (!isOperator(operator)) {
      return `${JSON.stringify(`${column}=${test}`.slice(0, 80))} must be such as status=eq.paid; the operators are ${
        Object.keys(ROW_OPERATORS).join(", ")
      }`;
    }
    if (ROW_OPERATORS[operator](value) === undefined) {
      return `${JSON.stringify(`${column}=${test}`.slice(0, 80))} has a wrong value: ${
        operator === "is" ? "it must be null, not_null, true or false" : "it must be a list such as (a,b)"
      }`;
    }
    filters.push({ column, operator, value });
  }
  if (filters.length === 0) return "it must be such as status=eq.paid&amount=gt.100";
  return filters.length > FILTERS_MAX_COUNT ? `it has more than ${FILTERS_MAX_COUNT} conditions` : filters;
}

function isOperator(text: string): text is RowOperator {
  return Object.hasOwn(ROW_OPERATORS, text);
}
