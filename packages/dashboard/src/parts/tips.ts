/**
 * A few words beside whatever has a `data-tip`, while it is pointed at or has the focus. One element for the whole page:
 * a list may have thousands of them.
 *
 * @module
 */
const AFTER_MS = 250;
const DISTANCE_PX = 6;
const EDGE_PX = 8;

export function showTips(): void {
  const bubble = document.createElement("div");
  bubble.className = "tooltip";
  bubble.hidden = true;
  // What it says is said in the label of its place, too.
  bubble.setAttribute("aria-hidden", "true");
  document.body.append(bubble);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let place: Element | null = null;

  function hide(): void {
    clearTimeout(timer);
    place = null;
    bubble.hidden = true;
  }

  function show(target: Element): void {
    if (!target.isConnected) return hide();
    bubble.textContent = target.getAttribute("data-tip");
    bubble.hidden = false;
    const { left, top, bottom, width } = target.getBoundingClientRect();
    const { width: ownWidth, height: ownHeight } = bubble.getBoundingClientRect();
    const wanted = left + width / 2 - ownWidth / 2;
    const x = Math.max(EDGE_PX, Math.min(wanted, innerWidth - ownWidth - EDGE_PX));
    const above = top - ownHeight - DISTANCE_PX;
    bubble.style.left = `${x}px`;
    bubble.style.top = `${above < EDGE_PX ? bottom + DISTANCE_PX : above}px`;
  }

  function point({ target }: Event, afterMs: number): void {
    const found = target instanceof Element ? target.closest("[data-tip]") : null;
    if (found === place) return;
    hide();
    place = found;
    if (found !== null) timer = setTimeout(() => show(found), afterMs);
  }

  addEventListener("pointerover", (event) => point(event, AFTER_MS));
  addEventListener("focusin", (event) => {
    if (event.target instanceof Element && event.target.matches(":focus-visible")) point(event, 0);
  });
  addEventListener("focusout", hide);
  addEventListener("pointerdown", hide);
  addEventListener("scroll", hide, true);
  addEventListener("keydown", ({ key }) => {
    if (key === "Escape") hide();
  });
}
