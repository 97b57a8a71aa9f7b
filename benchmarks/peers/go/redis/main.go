// A Redis hash per profile behind a compiled gRPC service with our own proto: the twin of
// benchmarks/peers/redis_server.py, which fills the store.
//
//	redis SOCKET MEASURES HALF_LIVES      "impressions,plays,dwell_s" "1,7"; prints its address as a
//	                                      line of JSON; ends with its standard input
//
// As one would write it well: a read is one HMGET over a Unix socket, with the client of Redis's own
// organisation that pipelines the calls of many requests by itself; messages are protoc-gen-go's.
package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
	"google.golang.org/grpc"

	"impressions.bench/pb"
)

type service struct {
	pb.UnimplementedImpressionsServiceServer
	store    rueidis.Client
	measures []string
	days     []uint32
}

// GetProfile answers the titles that are there. A stored value is last_seen_ms as int64, then float32
// totals by measure, then sums by measure and half-life.
func (s *service) GetProfile(ctx context.Context, request *pb.GetProfileRequest) (*pb.GetProfileResponse, error) {
	asked := request.Projection.TitleIds
	fields := make([]string, len(asked))
	for i, title := range asked {
		fields[i] = strconv.FormatInt(title, 10)
	}
	key := "impressions:" + strconv.FormatInt(request.GetProfileId(), 10)
	found, err := s.store.Do(ctx, s.store.B().Hmget().Key(key).Field(fields...).Build()).ToArray()
	if err != nil {
		return nil, err
	}
	answer := &pb.ProfileAnswer{ProfileId: request.GetProfileId()}
	values := make([]string, 0, len(found))
	for i := range found {
		if value, err := found[i].ToString(); err == nil {
			values = append(values, value)
			answer.TitleIds = append(answer.TitleIds, asked[i])
		}
	}
	answer.MatchedRows = uint32(len(values))
	answer.LastSeenMs = make([]int64, len(values))
	for i, value := range values {
		answer.LastSeenMs[i] = int64(binary.LittleEndian.Uint64([]byte(value[:8])))
	}
	at := 8
	for _, measure := range s.measures {
		answer.Totals = append(answer.Totals, &pb.TotalColumn{Measure: measure, Values: column(values, at)})
		at += 4
	}
	for _, measure := range s.measures {
		for _, days := range s.days {
			answer.Decayed = append(answer.Decayed, &pb.DecayedColumn{
				Measure: measure, HalfLifeDays: days, Values: column(values, at),
			})
			at += 4
		}
	}
	return &pb.GetProfileResponse{Answer: answer}, nil
}

func column(values []string, at int) []float64 {
	numbers := make([]float64, len(values))
	for i, value := range values {
		bits := uint32(value[at]) | uint32(value[at+1])<<8 | uint32(value[at+2])<<16 | uint32(value[at+3])<<24
		numbers[i] = float64(math.Float32frombits(bits))
	}
	return numbers
}

func main() {
	store, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:       []string{os.Args[1]},
		DisableCache:      true,
		ForceSingleClient: true,
		DialCtxFn: func(ctx context.Context, path string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mine := &service{store: store, measures: strings.Split(os.Args[2], ",")}
	for _, text := range strings.Split(os.Args[3], ",") {
		days, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			log.Fatal(err)
		}
		mine.days = append(mine.days, uint32(days))
	}
	server := grpc.NewServer()
	pb.RegisterImpressionsServiceServer(server, mine)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(server.Serve(listener)) }()
	fmt.Printf("{\"address\": %q}\n", listener.Addr())
	io.Copy(io.Discard, os.Stdin)
}
