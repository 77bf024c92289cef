const DAY_SECONDS = 86_400;

/**
 * The time to set the clock to, in seconds since 1970, or undefined when it is good enough: certificates
 * are minutes old, so a clock behind the controller's (a dead battery, a board in 1970) would refuse them.
 * A clock that is a little ahead is the boot itself; one a day ahead is wrong.
 */
export function planClock(nowSeconds: number, controllerSeconds: number | undefined): number | undefined {
  if (controllerSeconds === undefined) return undefined;
  const ahead = nowSeconds - controllerSeconds;
  return ahead < 0 || ahead > DAY_SECONDS ? controllerSeconds : undefined;
}
