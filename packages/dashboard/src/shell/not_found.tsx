/**
 * For addresses that are none of a page.
 *
 * @module
 */
import { Compass } from "lucide-react";
import { ButtonLink } from "../parts/button.tsx";
import { Page } from "../parts/page.tsx";
import { EmptyState } from "../parts/states.tsx";

export function NotFound() {
  return (
    <Page title="Not found">
      <EmptyState icon={Compass} title="There is no such page" action={<ButtonLink to="/">To the start</ButtonLink>}>
        Perhaps the address was cut short.
      </EmptyState>
    </Page>
  );
}
