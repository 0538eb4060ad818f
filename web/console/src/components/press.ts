import type { PointerEvent } from "react";

/**
 * Attributes of a button that opens a dialog: the click belongs to the button that was pressed, although parts of the
 * page that are just loaded push it away before it is released. Nothing is done yet, so nothing needs to be undone.
 */
export const heldPress = {
  onPointerDown: (event: PointerEvent<Element>) => event.currentTarget.setPointerCapture(event.pointerId),
};
