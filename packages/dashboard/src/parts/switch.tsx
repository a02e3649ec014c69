/**
 * On or off, at once.
 *
 * @module
 */
import * as RadixSwitch from "@radix-ui/react-switch";

export function Switch(
  { label, checked, disabled = false, onChange }: {
    readonly label: string;
    readonly checked: boolean;
    readonly disabled?: boolean;
    readonly onChange: (checked: boolean) => void;
  },
) {
  return (
    <RadixSwitch.Root
      className="switch"
      aria-label={label}
      checked={checked}
      disabled={disabled}
      onCheckedChange={onChange}
    >
      <RadixSwitch.Thumb className="switch-thumb" />
    </RadixSwitch.Root>
  );
}
