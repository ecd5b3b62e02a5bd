package trial

import (
	"context"
	"time"
)

// startCross starts the flows of cross traffic; what it returns waits for their end.
func (r *runner) startCross(ctx context.Context, epoch time.Duration) (wait func() error) {
	return func() error { return nil }
}
