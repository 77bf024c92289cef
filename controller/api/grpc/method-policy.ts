/**
 * Who may call a method.
 *
 * - anyone: whoever reaches the port; the handler decides what a stranger gets.
 * - current-node: a node of the inventory, with the certificate of its latest enrolment.
 * - ticket-holder: a certificate of this authority; the handler compares it with the ticket in the request.
 *   For worker processes, which do not see the inventory.
 */
export type MethodPolicy = "anyone" | "current-node" | "ticket-holder";

/** Every method that may be called at all, by full path. A method that is not here is refused. */
export const METHOD_POLICIES: ReadonlyMap<string, MethodPolicy> = new Map([
  ["/muster.v1.Enrollment/Enrol", "anyone"],
  ["/muster.v1.Provisioning/GetBootPlan", "current-node"],
  ["/muster.v1.Provisioning/ReportBoot", "current-node"],
  ["/muster.v1.Provisioning/ReportFailure", "current-node"],
  ["/muster.v1.Session/Connect", "current-node"],
  ["/muster.v1.Blobs/FetchBlob", "ticket-holder"],
]);
