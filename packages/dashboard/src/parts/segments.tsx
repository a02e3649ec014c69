/**
 * One of a few, all of them in sight.
 *
 * @module
 */
export function Segments<Value extends string>(
  { label, value, options, onChange }: {
    readonly label: string;
    readonly value: Value;
    readonly options: readonly (readonly [value: Value, text: string])[];
    readonly onChange: (value: Value) => void;
  },
) {
  return (
    <div className="segments" role="group" aria-label={label}>
      {options.map(([key, text]) => (
        <button
          key={key}
          type="button"
          className="segment"
          aria-pressed={key === value}
          onClick={() => onChange(key)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}
