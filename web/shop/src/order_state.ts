import type { Row } from "@alfa-hub/common/client";

import type { TextKey } from "./state";

type Order = Pick<Row<"orders">, "status" | "awaiting" | "is_over_limit" | "over_limit_reason" | "released_at">;

/** The key of the sentence that says where an order is and whose turn it is. */
export function orderState(order: Order): TextKey {
  if (order.status === "SUBMITTED" && order.is_over_limit && !order.released_at) {
    return order.over_limit_reason === "OVERDUE" ? "state.heldOverdue" : "state.heldLimit";
  }
  switch (order.status) {
    case "DRAFT":
      return "state.draft";
    case "SUBMITTED":
      return order.awaiting === "SUBDIST" ? "state.submitted" : "state.unrouted";
    case "PROCESSING":
      return order.awaiting === "SUBDIST" ? "state.processing" : "state.approval";
    case "APPROVED":
      return "state.approved";
    case "SHIPPED":
      return "state.shipped";
    case "COMPLETED":
      return "state.completed";
    case "REJECTED":
      return "state.rejected";
    case "CANCELLED":
      return "state.cancelled";
  }
}
