import type { NodeName } from "#proto/contract/node-name.ts";
import type { Author, Node, NodeFields } from "../inventory/inventory.ts";

/** Decides about machines that wait; the enrolment streams that wait for the decision go on at once. */
export interface Enrolments {
  /**
   * Makes the machine a node. A name that exists gets the machine's boot device added (hardware replaced,
   * node prepared before); otherwise the node is created with one device, the interface it booted from.
   * `machine-not-pending`, `name-invalid`, `mac-in-use`, `image-unknown`.
   */
  approve(
    claimCode: string,
    node: { readonly name: NodeName; readonly fields: Partial<NodeFields> },
    author: Author,
  ): Promise<Node>;
  /** Turns the machine away: it is told so and its entry goes. */
  reject(claimCode: string, author: Author): Promise<void>;
}
