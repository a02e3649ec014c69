/**
 * Main task: find a function, see whether it is well, and open it.
 *
 * @module
 */
import { Plus, Zap } from "lucide-react";
import { Page } from "../../parts/page.tsx";
import { EmptyState } from "../../parts/states.tsx";

export function FunctionsPage() {
  return (
    <Page title="Functions">
      <EmptyState icon={Zap} title="No functions yet">
        Write one here, or deploy a folder with <code>fluxbase deploy</code>.
      </EmptyState>
    </Page>
  );
}
void Plus;
