/**
 * What boards say when nobody filled the field in: a serial number that a thousand machines share
 * identifies none of them. Collected from dmidecode outputs of server and whitebox boards.
 */
const PLACEHOLDERS =
  /^(to be filled by o\.?e\.?m\.?|not specified|not available|not applicable|n\/a|none|default string|system serial number|chassis serial number|empty|unknown|123456789|0+|x+|\.+|-+)$/i;

/** A DMI text field; empty when the firmware has none worth the name. */
export function parseDmiText(text: string | undefined): string {
  const trimmed = (text ?? "").trim();
  return PLACEHOLDERS.test(trimmed) ? "" : trimmed.slice(0, 128);
}

/** The system UUID in lower case; empty when absent, all zeros or all ones (SMBIOS specification, 7.2.1). */
export function parseDmiUuid(text: string | undefined): string {
  const uuid = (text ?? "").trim().toLowerCase();
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)) return "";
  return /^[0-]+$/.test(uuid) || /^[f-]+$/.test(uuid) ? "" : uuid;
}
