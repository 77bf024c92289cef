/** Structured log of the netboot services; a pino logger is one. */
export interface NetbootLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
