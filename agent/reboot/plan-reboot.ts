/** How a machine is restarted. */
export type RebootStep =
  | { readonly kind: "command"; readonly program: string; readonly args: readonly string[] }
  /** The kernel restarts at once: nothing is stopped, nothing is written back but what `sync` was asked to. */
  | { readonly kind: "kernel" };

/**
 * The ways to restart, in the order to try; the next one counts only when the one before could not even be begun.
 *
 * | init    | force | steps                                                                            |
 * |---------|-------|----------------------------------------------------------------------------------|
 * | systemd | no    | systemctl reboot: services stop, each within its TimeoutStopSec                  |
 * | systemd | yes   | systemctl reboot --force: processes are killed, file systems unmounted; the kernel |
 * | other   | no    | /sbin/reboot of that init; the kernel                                            |
 * | other   | yes   | the kernel                                                                       |
 *
 * A plain restart that systemd refuses is not forced: whoever refused (an inhibitor, a polkit rule) had a reason.
 */
export function planReboot(facts: {
  /** systemd is process 1: sd_booted(3). */
  readonly isSystemd: boolean;
  readonly force: boolean;
}): readonly RebootStep[] {
  if (facts.isSystemd) {
    return facts.force
      ? [{ kind: "command", program: "systemctl", args: ["reboot", "--force"] }, { kind: "kernel" }]
      : [{ kind: "command", program: "systemctl", args: ["reboot"] }];
  }
  return facts.force
    ? [{ kind: "kernel" }]
    : [{ kind: "command", program: "reboot", args: [] }, { kind: "kernel" }];
}
