/** Names and numbers that are the same in every installation unless muster.yaml says otherwise. */
export const DEFAULT_CONFIG_PATH = "/etc/muster/muster.yaml";
export const DEFAULT_STATE_DIRECTORY = "/var/lib/muster";
export const DEFAULT_RUNTIME_DIRECTORY = "/run/musterd";
export const DEFAULT_HOOKS_DIRECTORY = "/etc/muster/hooks.d";
/** The control socket, below `paths.runtime`. */
export const CONTROL_SOCKET_NAME = "control.sock";
export const DEFAULT_PORTS = { http: 9880, enrolment: 9881, agents: 9882, blobs: 9883, api: 9884 } as const;
