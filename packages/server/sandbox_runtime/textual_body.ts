/**
 * The body of a request to a default-exported function. Such functions come from the guide, where `req.body` is text, and
 * from other platforms, where it is a stream: this is a real `ReadableStream` that also reads as text.
 *
 * `JSON.parse(req.body)`, `req.body.length` and the methods of strings see the text. `fetch(url, { body: req.body })`,
 * `new Request(url, req)` and `getReader()` see a stream, and get every byte. As with requests (./request.ts), the slots
 * of the stream are accessors that make it on first use, so a handler that reads text never pays for it.
 *
 * @module
 */

export interface BodySource {
  text(): string;
  stream(): ReadableStream<Uint8Array>;
  /** All of it, as long as nothing of the stream was read. */
  unreadBytes(): Uint8Array<ArrayBuffer> | undefined;
}

// Captured before user code runs.
const { apply, get, set } = Reflect;

export class TextualBody {
  readonly #source: BodySource;

  constructor(source: BodySource) {
    this.#source = source;
  }

  get length(): number {
    return this.#source.text().length;
  }
  toString(): string {
    return this.#source.text();
  }
  valueOf(): string {
    return this.#source.text();
  }
  toJSON(): string {
    return this.#source.text();
  }

  static isOne(value: object): value is TextualBody {
    return #source in value;
  }
  static sourceOf(body: TextualBody): BodySource {
    return body.#source;
  }
}

const { prototype } = TextualBody;
Object.setPrototypeOf(prototype, ReadableStream.prototype);

for (const name of Object.getOwnPropertyNames(String.prototype)) {
  const method: unknown = get(String.prototype, name);
  if (typeof method !== "function" || name in prototype) continue;
  define(name, {
    value: function (this: TextualBody, ...values: unknown[]): unknown {
      return apply(method, TextualBody.sourceOf(this).text(), values);
    },
  });
}
// A console shows the text too.
for (const name of ["Deno.customInspect", "nodejs.util.inspect.custom"]) {
  define(Symbol.for(name), { value: prototype.toString });
}
for (const slot of Object.getOwnPropertySymbols(new ReadableStream())) {
  define(slot, {
    get(this: TextualBody): unknown {
      return get(TextualBody.sourceOf(this).stream(), slot);
    },
    set(this: TextualBody, value: unknown): void {
      set(TextualBody.sourceOf(this).stream(), slot, value);
    },
  });
}

function define(name: PropertyKey, property: PropertyDescriptor): void {
  Object.defineProperty(prototype, name, { ...property, configurable: true });
}

/** What only a string passes, however something reads: `typeof`, `===`, an index, and `update` of a hash. */
const OF_TEXT_ALONE = [
  /\btypeof\s+(?:[\w$]+\s*\??\.\s*)*body\s*[!=]==?\s*["'`]string\b/,
  /["'`]string["'`]\s*[!=]==?\s*typeof\s+(?:[\w$]+\s*\??\.\s*)*body\b/,
  /\.\s*body\s*[!=]==\s*["'`]/,
  /\.\s*body\s*(?:\?\.)?\[/,
  /\.update\(\s*(?:[\w$]+\s*\??\.\s*)+body\s*[,)]/,
];

/** Such a handler gets text. Asked of its own source, since nothing else tells. */
export function asksForText(handler: (...values: never[]) => unknown): boolean {
  const source = Function.prototype.toString.call(handler);
  return OF_TEXT_ALONE.some((use) => use.test(source));
}
