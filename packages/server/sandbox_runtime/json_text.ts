/**
 * The JSON of what a handler returned. `JSON.stringify` refuses a BigInt, and makes `{}` of a Map, a Set, an Error and a
 * promise that nobody awaited: here the first four have a form, and what has none is refused by name.
 *
 * @module
 */

// Captured before user code runs.
const { stringify, rawJSON } = JSON as typeof JSON & { rawJSON(text: string): unknown };
const { getPrototypeOf, keys } = Object;
const plain = Object.prototype;
const NativeMap = Map;
const NativeSet = Set;
const NativeError = Error;
const NativeDate = Date;
const SHOWN_MAX_CHARACTERS = 80;

/** Of what would be `{}`, and what its author can do. */
const WITHOUT_FORM: readonly [type: abstract new (...args: never[]) => object, instead: string][] = [
  [Promise, "await it"],
  [Response, "return it alone"],
  [ReadableStream, "return it alone, or as body"],
  [Blob, "return it alone, or as body"],
  [ArrayBuffer, "return it alone, or as body"],
  [FormData, "use Object.fromEntries"],
  [URLSearchParams, "use Object.fromEntries or String"],
  [Headers, "use Object.fromEntries"],
  [Request, "pick what you need of it"],
  [Iterator, "use Array.from"],
  [RegExp, "use String"],
  [WeakMap, "use a Map"],
  [WeakSet, "use a Set"],
];

/** The native way first: only what it fails on, or makes `{}` of, is looked at again. */
export function jsonText(value: unknown): string {
  let text: string | undefined;
  try {
    text = stringify(value);
    if (text !== undefined && text.includes("{}") && hidesSomething(value)) text = stringify(value, givesForm());
  } catch (error) {
    if (error instanceof NoForm) throw error;
    text = secondTry(value);
  }
  if (text === undefined) throw new TypeError(`Cannot answer with a ${typeof value}: it has no JSON form`);
  return text;
}

/** A BigInt is one reason to fail; a circle, and a `toJSON` that throws, stay reasons. */
function secondTry(value: unknown): string | undefined {
  try {
    return stringify(value, givesForm());
  } catch (error) {
    if (error instanceof RangeError && error.message.includes("call stack")) {
      throw new RangeError("Cannot answer with a value that is nested so deeply: JSON of it needs too much stack");
    }
    const isCircle = error instanceof TypeError && error.message.startsWith("Converting circular structure");
    if (!isCircle) throw error;
    const [, ...places] = error.message.split("\n");
    throw new TypeError(`Cannot answer with a circular value:${places.join("").replace(/\s+/g, " ")}`);
  }
}

/** Whether there is anything but arrays and plain objects of texts, numbers and the like. */
function hidesSomething(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some(hidesSomething);
  const prototype = getPrototypeOf(value);
  if (prototype !== plain && prototype !== null) return !(value instanceof NativeDate);
  for (const name in value) if (hidesSomething(Reflect.get(value, name))) return true;
  return false;
}

/** Said to the author as it is. */
class NoForm extends TypeError {
  override readonly name = "TypeError";
}

/** A replacer. The form of one value is one object, so that a circle is seen as one. */
function givesForm(): (key: string, value: unknown) => unknown {
  const forms = new NativeMap<object, unknown>();
  return (key, value) => {
    if (typeof value === "bigint") return rawJSON(`${value}`);
    if (typeof value !== "object" || value === null) return value;
    let form = forms.get(value);
    if (form === undefined) forms.set(value, form = formOf(value, key));
    return form;
  };
}

function formOf(value: object, key: string): unknown {
  if (value instanceof NativeMap) return objectOf(value, key);
  if (value instanceof NativeSet) return [...value];
  if (value instanceof NativeError) return { ...value, name: value.name, message: value.message };
  const found = WITHOUT_FORM.find(([type]) => value instanceof type);
  if (found === undefined || keys(value).length > 0) return value;
  const [{ name }, instead] = found;
  throw new NoForm(
    `Cannot answer with ${/^[AI]/.test(name) ? "an" : "a"} ${name}${within(key)}: it has no JSON form; ${instead}`,
  );
}

function objectOf(map: ReadonlyMap<unknown, unknown>, place: string): Record<string, unknown> {
  const made: Record<string, unknown> = Object.create(null);
  for (const [key, value] of map) {
    const isText = typeof key === "string" || typeof key === "number" || typeof key === "bigint" ||
      typeof key === "boolean";
    if (!isText) {
      throw new NoForm(
        `Cannot answer with a Map${
          within(place)
        } that has a key of type ${typeof key}: keys of JSON are texts; return [...map]`,
      );
    }
    made[String(key)] = value;
  }
  return made;
}

function within(key: string): string {
  return key === "" ? "" : ` (in ${stringify(key.slice(0, SHOWN_MAX_CHARACTERS))})`;
}
