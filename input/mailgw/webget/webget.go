// Package webget opens pages for the readers of the mail gateway. It stands apart from them, so that a program which
// reads no page holds no HTTP client.
package webget

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// timeout is how long a page may take, to its end.
const timeout = 15 * time.Second

// New gives what opens pages. Redirects are followed no further than three times and to the same host only, so that a
// password is not carried elsewhere.
func New() func(ctx context.Context, url string, header map[string]string) (io.ReadCloser, error) {
	client := &http.Client{
		Timeout: timeout,
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > 3 || req.URL.Host != via[0].URL.Host {
				return fmt.Errorf("redirected to %s, which is not followed", req.URL.Host)
			}
			return nil
		},
	}
	return func(ctx context.Context, url string, header map[string]string) (io.ReadCloser, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		for name, value := range header {
			req.Header.Set(name, value)
		}
		res, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		if res.StatusCode != http.StatusOK {
			res.Body.Close()
			return nil, fmt.Errorf("read %s: the server says %s", url, res.Status)
		}
		return res.Body, nil
	}
}
