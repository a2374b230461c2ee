/** Puts a popover below an element, or above it where there is no room, inside of the window. */
export function place(panel: HTMLElement, anchor: HTMLElement): void {
  const at = anchor.getBoundingClientRect();
  const { width, height } = panel.getBoundingClientRect();
  const gap = 6;
  const left = Math.max(12, Math.min(at.left, innerWidth - width - 12));
  const below = at.bottom + gap;
  const above = at.top - gap - height;
  const top = below + height <= innerHeight - 8 || above < 8 ? below : above;
  panel.style.left = `${left}px`;
  panel.style.top = `${Math.max(8, Math.min(top, innerHeight - height - 8))}px`;
}
