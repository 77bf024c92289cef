import { effectiveNode, type EffectiveDevice, fieldsOfFlat } from "../../fields/effective-node.ts";
import { validateFields } from "../../fields/validate-fields.ts";
import type { NodeFields } from "../../inventory/inventory.ts";
import type { RequestFinding } from "./request-error.ts";
import type { DeviceInput, NodeFieldsInput } from "./schemas.ts";

/** The fields as the inventory keeps them, and everything wrong with them; fields count only without findings. */
export interface ValidatedFields {
  readonly fields: NodeFields;
  readonly findings: readonly RequestFinding[];
}

/** Checks the fields of one node in the flat form, by the table of fields; `at` is where they stand in the request. */
export function validateNodeFields(input: NodeFieldsInput, at: string): ValidatedFields {
  const { profiles, devices = [], kernelArguments = [], overlays = [], runtimeOverlays = [] } = input;
  const flat: NodeFields = {
    ...input,
    ...{ kernelArguments, overlays, runtimeOverlays, tags: input.tags ?? {} },
    devices: devices.map(deviceOf),
  };
  const checked = validateFields("node", fieldsOfFlat(flat), at);
  const names = devices.map(({ name }) => name);
  const repeated = devices.flatMap(({ name }, index) =>
    names.indexOf(name) === index
      ? []
      : [{ at: `${at === "" ? "" : `${at}.`}devices[${index}].name`, what: `${name} is given twice` }],
  );
  return {
    // Which device boots is said by the order here; one with a bad name is told of by that.
    findings: [...checked.findings.filter((one) => !one.at.endsWith("primaryDevice")), ...repeated],
    fields: {
      ...effectiveNode(checked.fields),
      // An empty list says that it shall have none; whether there are such profiles is seen where they are merged.
      ...(profiles === undefined ? {} : { profiles }),
    },
  };
}

/** Its MAC is looked at with everything else. */
function deviceOf({ name, type = "ethernet", ...rest }: DeviceInput): EffectiveDevice {
  return { name, type, ...(rest as Omit<EffectiveDevice, "name" | "type">) };
}
